"""What becomes of a run of events of one account: what is remembered, counted, kept, and made a case of."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from ringfence.kernel.settings import Settings
from ringfence.store.query import Row

from .chance import Odds, odds
from .memory import HOUR, HOURS, MANY, PEOPLE, Hit, Open, Subject, moment
from .networks import Map
from .rules import Rule

EVIDENCE = 100  # hits of a case that are kept, the first ones


@dataclass(slots=True)
class Case:
    """A case that was made, or went on, in this run."""

    id: str
    rule: Rule
    user: str
    event: str
    origin: str
    detected: float
    new: bool
    facts: dict[str, Any] = field(default_factory=dict)  # columns that changed
    first: dict[str, Any] = field(default_factory=dict)  # the same, as of its detection
    hits: list[Hit] = field(default_factory=list)  # of this run


@dataclass(slots=True)
class Scene:
    """`people` holds everybody whom the run is about, and is added to."""

    account: str
    settings: Settings
    people: dict[str, Subject]
    map: Map
    zone: ZoneInfo
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # to be written, by what is done with them
    cases: dict[str, Case] = field(default_factory=dict)
    touched: dict[str, Subject] = field(default_factory=dict)

    def write(self, what: str, **row: Any) -> None:
        self.rows.setdefault(what, []).append(row)

    def subject(self, id: str, at: float, kind: str = "") -> Subject:
        """Somebody, as of a moment."""
        found = self.touched.get(id)
        if found is None:
            found = self.people.get(id) or Subject(kind or "actor")
            self.people[id] = self.touched[id] = found
        if kind == "person" and found.kind == "actor":
            found.kind = "person"
        found.turn(at)
        return found

    def peers(self, id: str, who: Subject, at: float) -> Subject:
        """Those who have the same roles; for clients all clients of the account."""
        if who.kind == "person":
            name = f"role {'+'.join(who.roles)}"[:255]
        else:
            name = "command line" if id.startswith("cli:") else "clients"
        return self.subject(f"peers: {name}"[:255], at, "peers")

    def seen(self, id: str, at: float, kind: str = "") -> Subject:
        """Somebody did something: an hour with activity, where it is the first in it."""
        who = self.subject(id, at, kind)
        hour = int(at // HOUR)
        if hour > who.hour:
            peers = self.peers(id, who, at)
            if not who.hours:
                peers.count(PEOPLE)
            who.hour = hour
            who.hours |= 1 << (hour % 24)
            who.chance(HOURS, at)
            peers.count(HOURS)
        return who

    def chance(self, id: str, at: float, kind: str) -> None:
        """Something was done that a rule counts among."""
        who = self.subject(id, at)
        who.chance(kind, at)
        self.peers(id, who, at).count(kind)

    def hit(self, rule: Rule, id: str, event: Row, detail: str = "") -> None:
        """A sign that a rule looks for."""
        at = event["at"].timestamp()
        who = self.subject(id, at)
        here = Hit(at, event["id"])
        before = [one for one in who.hits.get(rule.name, ()) if one.at >= at - rule.window]
        within = who.hits[rule.name] = [*before[1 - MANY :], here]
        peers = self.peers(id, who, at)
        n, threshold = len(within), rule.limit(self.settings)
        going_on = who.cases.get(rule.name)
        if going_on is not None and at - going_on.last > rule.window:
            going_on = None
        if going_on is not None or n >= threshold:
            chances = float(who.chances(rule.chances, at, rule.window))
            own = (float(who.before(rule.name)), float(who.before(rule.chances)))
            others = (
                max(0.0, peers.before(rule.name) - own[0]),
                max(0.0, peers.before(rule.chances) - own[1]),
            )
            found = odds(n, chances, own, others, rule.usual)
            enough = n >= threshold and self._rare(rule, found)
            if going_on is not None or enough:
                case = self._case(rule, id, who, event, going_on, within)
                if enough:  # fewer would not explain it
                    case.facts |= self._facts(rule, who, peers, n, found, detail)
                case.facts |= {"hits_number": who.cases[rule.name].hits, "last_at": moment(at)}
                if case.new and not case.first:
                    case.first = dict(case.facts)
        who.count(rule.name)
        peers.count(rule.name)

    def _rare(self, rule: Rule, found: Odds) -> bool:
        by = {"peers": found.pop_prob, "oneself": found.user_prob, "": 0.0}[rule.against]
        return by <= self.settings.guardian_probability

    def _case(self, rule: Rule, id: str, who: Subject, event: Row, going_on: Open | None, within: list[Hit]) -> Case:
        if going_on is not None:
            going_on.hits += 1
            going_on.last = within[-1].at
            case = self.cases.get(going_on.id)
            if case is None:
                case = Case(going_on.id, rule, id, event["id"], event["origin"], within[-1].at, new=False)
                self.cases[case.id] = case
            case.hits.append(within[-1])
            return case
        name = f"{self.account} {rule.name} {id} {event['id']}"
        made = blake2b(name.encode(), digest_size=16).hexdigest()
        who.cases[rule.name] = Open(made, len(within), within[-1].at)
        case = Case(made, rule, id, event["id"], event["origin"], within[-1].at, new=True, hits=list(within))
        self.cases[made] = case
        return case

    def _facts(self, rule: Rule, who: Subject, peers: Subject, n: int, found: Odds, detail: str) -> dict[str, Any]:
        told = rule.told.format(
            n=n,
            hours=f"{rule.window / HOUR:g}",
            expected=f"{found.expected:.3g}",
            peers=f"{found.expected_of_peers:.3g}",
            threshold=rule.limit(self.settings),
            detail=detail.replace("\0", ""),
        )
        there = peers.by_day(PEOPLE)
        return {
            "specification": told,
            "baseline": found.expected,
            "user_baseline": who.by_day(rule.name),
            "pop_baseline": [
                round(hits / people, 4) if people else 0
                for hits, people in zip(peers.by_day(rule.name), there, strict=True)
            ],
            "user_conf": 1 - found.user_prob,
            "user_prob": found.user_prob,
            "pop_conf": 1 - found.pop_prob,
            "pop_prob": found.pop_prob,
        }
