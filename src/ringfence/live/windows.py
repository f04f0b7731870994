"""Sums over sliding ranges of time, kept as contacts come in and fall out: a tick costs as much as has changed."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from .filters import Selection, Span
from .metrics import Dimension

Values = tuple[int, ...]
TOTAL = ""


def moment_of(item: Any) -> float:
    at: float = item.at
    return at


class Window:
    """The sums of one range and selection, and by segment; `low` is the first item of the line that is within."""

    def __init__(self, line: "Line", selection: Selection, by: Dimension) -> None:
        self.line, self.span, self.selection, self.by = line, selection.span, selection, by
        self.start, self.low = 0.0, 0
        self.sums: dict[str, list[int]] = {}
        self._longest: dict[str, int] | None = None

    def begin(self, start: float) -> None:
        """Count all that is within, from the first on."""
        self.start, self.low = start, bisect_left(self.line.items, start, key=moment_of)
        self.sums, self._longest = {}, None
        for item in self.line.items[self.low :]:
            if self.takes(item):
                self._add(item, item.values, 1)

    def slide(self, start: float) -> bool:
        """Let what is before `start` fall out; whether anything did."""
        if start < self.start:  # the time zone has changed
            self.begin(start)
            return True
        items, low, fell = self.line.items, self.low, False
        while low < len(items) and items[low].at < start:
            if self.takes(items[low]):
                self._add(items[low], items[low].values, -1)
                self._forget_longest(items[low])
                fell = True
            low += 1
        self.low, self.start = low, start
        return fell

    def added(self, item: Any) -> None:
        if item.at < self.start:
            self.low += 1
        elif self.takes(item):
            self._add(item, item.values, 1)
            if self._longest is not None and item.wait:
                for segment in (TOTAL, *self.segments(item)):
                    self._longest[segment] = max(self._longest.get(segment, 0), item.wait)

    def changed(self, item: Any, before: Values) -> None:
        """What is known of a contact has changed; what segments it is in has not."""
        if item.at >= self.start and self.takes(item):
            self._add(item, tuple(new - old for new, old in zip(item.values, before, strict=True)), 1)

    def takes(self, item: Any) -> bool:
        only = self.selection
        return (
            not only.none
            and (only.ring_groups is None or not only.ring_groups.isdisjoint(item.groups))
            and (only.teams is None or item.team in only.teams)
            and (only.directions is None or item.direction in only.directions)
        )

    def segments(self, item: Any) -> Sequence[str]:
        """The parts that an item is counted in, beside the total."""
        match self.by:
            case "ring_group":
                wanted = self.selection.ring_groups
                return [name for name in item.groups if wanted is None or name in wanted]
            case "team":
                return (item.team,) if item.team else ()
            case "direction":
                return ("inbound" if item.direction == "IN" else "outbound",)
            case _:
                return ()

    def of(self, segment: str) -> Sequence[int]:
        return self.sums.get(segment) or self.line.nothing

    def longest(self, segment: str) -> int:
        """The longest wait, in seconds."""
        if self._longest is None:
            found: dict[str, int] = {}
            self._longest = found
            for item in self.line.items[self.low :]:
                if item.wait and self.takes(item):
                    for one in (TOTAL, *self.segments(item)):
                        found[one] = max(found.get(one, 0), item.wait)
        return self._longest.get(segment, 0)

    def _forget_longest(self, item: Any) -> None:
        known, segments = self._longest, (TOTAL, *self.segments(item))
        if known is not None and item.wait and any(item.wait >= known.get(one, 0) for one in segments):
            self._longest = None

    def _add(self, item: Any, values: Values, sign: int) -> None:
        for segment in (TOTAL, *self.segments(item)):
            sums = self.sums.get(segment)
            if sums is None:
                sums = self.sums[segment] = list(self.line.nothing)
            for index, value in enumerate(values):
                if value:
                    sums[index] += sign * value


class Line:
    """Items in order of time (`at`, `groups`, `team`, `direction`, `wait`, `values`), and the windows over them."""

    def __init__(self, width: int) -> None:
        self.items: list[Any] = []
        self.nothing: Values = (0,) * width
        self.windows: dict[tuple[Selection, Dimension], Window] = {}

    def add(self, item: Any) -> None:
        if not self.items or self.items[-1].at <= item.at:
            self.items.append(item)
        else:
            self.items.insert(bisect_right(self.items, item.at, key=moment_of), item)
        for window in self.windows.values():
            window.added(item)

    def prepend(self, items: list[Any], starts: "Starts") -> None:
        """Put in many at once, wherever they belong."""
        self.items = sorted([*items, *self.items], key=moment_of)
        self.recount(starts)

    def changed(self, item: Any, before: Values) -> None:
        for window in self.windows.values():
            window.changed(item, before)

    def recount(self, starts: "Starts") -> None:
        for window in self.windows.values():
            window.begin(starts(window.span))

    def slide(self, starts: "Starts") -> bool:
        """Whether anything fell out of any window."""
        fell = False
        for window in self.windows.values():
            fell = window.slide(starts(window.span)) or fell
        return fell

    def forget(self, before: float) -> list[Any]:
        """Drop what is older than anything asked for; what was dropped."""
        cut = bisect_left(self.items, before, key=moment_of)
        gone, self.items = self.items[:cut], self.items[cut:]
        for window in self.windows.values():
            window.low -= cut
        return gone


class Starts:
    """Where each range begins at one moment."""

    def __init__(self, midnight: float, now: float) -> None:
        self.midnight, self.now = midnight, now

    def __call__(self, span: Span) -> float:
        match span.kind:
            case "today":
                return self.midnight
            case "interval":
                return self.now - span.value
            case _:
                return span.value
