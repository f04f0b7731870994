"""What the floor of an account knows of the account: people, ring groups, numbers, flows and hours, read at once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam

from ringfence.store.columns import Json, among
from ringfence.store.db import Transaction
from ringfence.store.query import Row, Statement, mine
from ringfence.store.tables.directory import attribute_users, attributes
from ringfence.store.tables.floor import business_hours, flow_versions, flows
from ringfence.store.tables.identity import numbers, ring_group_users, ring_groups, users

from . import flows as documents
from . import hours
from .flows import FlowDocument

USERS = Statement(mine(users, users.c.id, users.c.name, users.c.active))
MEMBERS = Statement(mine(ring_group_users))
RING_GROUPS = Statement(mine(ring_groups))
ATTRIBUTES = Statement(mine(attributes, attributes.c.id, attributes.c.name).where(attributes.c.active))
SKILLS = Statement(mine(attribute_users))
NUMBERS = Statement(mine(numbers))
HOURS = Statement(mine(business_hours))
FLOWS = Statement(mine(flows, flows.c.id, flows.c.name, flows.c.published_id))
VERSIONS = Statement(mine(flow_versions).where(among(flow_versions.c.id, bindparam("ids", type_=Json))))


@dataclass(slots=True)
class Version:
    """A published version of a flow, ready to be executed."""

    id: str
    flow: str
    name: str  # of the flow
    document: FlowDocument


@dataclass(slots=True)
class Person:
    name: str
    ring_groups: list[str]
    proficiencies: dict[str, int]


@dataclass(slots=True)
class Roster:
    """Read-only to the floor; read anew when something of it has changed."""

    people: dict[str, Person] = field(default_factory=dict)
    thresholds: dict[str, tuple[int, int]] = field(default_factory=dict)  # ring group -> short abandon, service level
    numbers: dict[str, Row] = field(default_factory=dict)
    hours: dict[str, Row] = field(default_factory=dict)
    published: dict[str, str] = field(default_factory=dict)  # flow -> version
    names: dict[str, str] = field(default_factory=dict)  # flow -> name
    versions: dict[str, Version] = field(default_factory=dict)
    _open: dict[tuple[str, int], bool] = field(default_factory=dict)

    def is_open(self, name: str | None, at: float) -> bool:
        """Whether business hours are on; what has none is always open."""
        row = self.hours.get(name or "")
        if row is None:
            return True
        minute = int(at // 60)
        found = self._open.get((row["name"], minute))
        if found is None:
            if len(self._open) > 2000:
                self._open.clear()
            found = hours.is_open(row, datetime.fromtimestamp(minute * 60, UTC))
            self._open[row["name"], minute] = found
        return found

    def short(self, ring_groups: list[str]) -> int:
        """Seconds within which an abandoned call counts as a short one."""
        return max((self.thresholds[name][0] for name in ring_groups if name in self.thresholds), default=0)

    def service_level(self, ring_groups: list[str]) -> int:
        """Seconds within which a call should be answered."""
        return min((self.thresholds[name][1] for name in ring_groups if name in self.thresholds), default=20)


async def load(tx: Transaction, account: str, versions: list[str]) -> Roster:
    """The roster of an account; `versions` are those that executions are still at, beside the published ones."""

    async def rows(statement: Statement, **given: Any) -> list[Row]:
        return await tx.all(statement, account=account, **given)

    made = Roster()
    names = {row["id"]: row["name"] for row in await rows(ATTRIBUTES)}
    for row in await rows(USERS):
        if row["active"]:
            made.people[row["id"]] = Person(row["name"], [], {})
    for row in await rows(MEMBERS):
        if (person := made.people.get(row["user_id"])) is not None:
            person.ring_groups.append(row["ring_group"])
    for row in await rows(SKILLS):
        if row["attribute_id"] in names and (person := made.people.get(row["user_id"])) is not None:
            person.proficiencies[names[row["attribute_id"]]] = row["proficiency"]
    for row in await rows(RING_GROUPS):
        made.thresholds[row["name"]] = (row["short_abandoned_threshold"], row["wait_time_threshold"])
    made.numbers = {row["number"]: row for row in await rows(NUMBERS)}
    made.hours = {row["name"]: row for row in await rows(HOURS)}
    for row in await rows(FLOWS):
        made.names[row["id"]] = row["name"]
        if row["published_id"] is not None:
            made.published[row["id"]] = row["published_id"]
    await add_versions(tx, account, made, [*made.published.values(), *versions])
    return made


async def add_versions(tx: Transaction, account: str, roster: Roster, ids: list[str]) -> None:
    """Read versions of flows that are not known yet."""
    missing = sorted(set(ids) - set(roster.versions))
    for row in await tx.all(VERSIONS, account=account, ids=missing) if missing else ():
        name = roster.names.get(row["flow_id"], "")
        roster.versions[row["id"]] = Version(row["id"], row["flow_id"], name, documents.read(row["document"]))
