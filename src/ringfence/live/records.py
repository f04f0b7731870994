"""What a tally holds: contacts that are over, that have arrived, that go on, and agents at work.

Times are seconds since 1970, durations whole seconds.
"""

from datetime import UTC, datetime
from typing import Literal

from . import metrics
from .people import Person
from .windows import Values

ENDED = {
    "Answered": metrics.ANSWERED,
    "Missed": metrics.MISSED,
    "Abandoned": metrics.ABANDONED,
    "Short Abandoned": metrics.SHORT,
    "Voicemail": metrics.VOICEMAIL,
    "Connected": metrics.CONNECTED,
    "Not Connected": metrics.NOT_CONNECTED,
}


def instant(at: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Finished:
    """A contact that is over. `place` is that of the last event that is counted in it."""

    __slots__ = (
        "at", "call", "direction", "groups", "hold", "id", "place", "started", "talk", "team", "type", "user", "waited",
        "within", "wrap_up",
    )  # fmt: skip

    def __init__(
        self, id: str, call: str, at: float, started: float, *, type: str, direction: str, groups: tuple[str, ...],
        user: str | None, waited: int, talk: int, hold: int, wrap_up: int, within: bool, place: int,
    ) -> None:  # fmt: skip
        self.id, self.call, self.at, self.started, self.place = id, call, at, started, place
        self.type, self.direction, self.groups, self.user, self.team = type, direction, groups, user, ""
        self.waited, self.talk, self.hold, self.wrap_up, self.within = waited, talk, hold, wrap_up, within

    @property
    def wait(self) -> int:
        """Of an inbound contact: a call back that was transferred may be missed, too."""
        return self.waited if self.type not in ("Connected", "Not Connected") else 0

    @property
    def values(self) -> Values:
        sums = [0] * len(metrics.SUMS)
        sums[ENDED[self.type]] = 1
        sums[metrics.WAIT] = self.wait
        if self.type == "Answered":
            sums[metrics.WITHIN] = int(self.within)
        if self.type in ("Answered", "Connected"):
            sums[metrics.TALK], sums[metrics.HOLD], sums[metrics.WRAP_UP] = self.talk, self.hold, self.wrap_up
        if self.type == "Abandoned":
            sums[metrics.GIVEN_UP] = self.waited
        return tuple(sums)


class Arrived:
    """An inbound contact that began to wait."""

    __slots__ = ("at", "groups")
    direction, team, wait = "IN", "", 0
    values: Values = (1,)

    def __init__(self, at: float, groups: tuple[str, ...]) -> None:
        self.at, self.groups = at, groups


class GoingOn:
    """A contact that waits, for which an agent's phone rings, or that talks."""

    __slots__ = ("answered", "call", "direction", "groups", "id", "since", "state", "user")

    def __init__(
        self, id: str, call: str, since: float, *, direction: str, groups: tuple[str, ...],
        state: Literal["waiting", "ringing", "talking"], user: str | None = None, answered: float | None = None,
    ) -> None:  # fmt: skip
        self.id, self.call, self.since, self.direction, self.groups = id, call, since, direction, groups
        self.state, self.user, self.answered = state, user, answered


class AtWork:
    """An agent as one row of what is counted."""

    __slots__ = ("groups", "id", "name", "since", "status", "team")

    def __init__(self, id: str, person: Person, status: str, since: float) -> None:
        self.id, self.name, self.team, self.groups = id, person.name, person.team, person.groups
        self.status, self.since = status, since
