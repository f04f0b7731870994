"""Who belongs to an account, as live figures need it: people, teams, ring groups and the time zone."""

from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from ringfence.store.db import Transaction
from ringfence.store.query import ACCOUNT, Row, Statement, mine
from ringfence.store.tables.identity import accounts, ring_group_users, ring_groups, teams, users

ZONE = Statement(select(accounts.c.timezone).where(accounts.c.id == ACCOUNT), everywhere=True)
USERS = Statement(mine(users, users.c.id, users.c.name, users.c.team_id).where(users.c.active))
TEAMS = Statement(mine(teams, teams.c.id, teams.c.name))
RING_GROUPS = Statement(mine(ring_groups, ring_groups.c.name))
MEMBERS = Statement(mine(ring_group_users, ring_group_users.c.ring_group, ring_group_users.c.user_id))


UTC = ZoneInfo("UTC")


@dataclass(slots=True)
class Person:
    name: str
    team: str  # its name; empty: in none
    groups: tuple[str, ...]


@dataclass(slots=True)
class People:
    """Read anew when something of it has changed."""

    zone: ZoneInfo = UTC
    by_id: dict[str, Person] = field(default_factory=dict)  # the active ones
    teams: tuple[str, ...] = ()
    ring_groups: tuple[str, ...] = ()

    def team_of(self, user: str | None) -> str:
        found = self.by_id.get(user or "")
        return found.team if found is not None else ""

    def parted(self, joined: str) -> tuple[str, ...]:
        """Names of ring groups that facts hold joined with `+`; a name may hold one itself."""
        parts = joined.split("+") if joined else []
        if len(parts) < 2 or not any("+" in name for name in self.ring_groups):
            return tuple(parts)
        found = []
        while parts:
            cut = next((n for n in range(len(parts), 1, -1) if "+".join(parts[:n]) in self.ring_groups), 1)
            found.append("+".join(parts[:cut]))
            parts = parts[cut:]
        return tuple(found)


async def load(tx: Transaction, account: str) -> People:
    """The people of an account as they are now."""

    async def rows(statement: Statement) -> list[Row]:
        return await tx.all(statement, account=account)

    zone: Any = await tx.one(ZONE, account=account)
    named = {row["id"]: row["name"] for row in await rows(TEAMS)}
    groups: dict[str, list[str]] = {}
    for row in await rows(MEMBERS):
        groups.setdefault(row["user_id"], []).append(row["ring_group"])
    return People(
        zone=ZoneInfo(zone["timezone"]) if zone else UTC,
        by_id={
            row["id"]: Person(
                row["name"], named.get(row["team_id"] or "", ""), tuple(sorted(groups.get(row["id"], ())))
            )
            for row in await rows(USERS)
        },
        teams=tuple(sorted(named.values())),
        ring_groups=tuple(sorted(row["name"] for row in await rows(RING_GROUPS))),
    )
