"""What is drawn of a report: rows counted or a column summed, over time or by category."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ringfence.store.columns import Moment
from ringfence.store.db import Db

from .report import Report
from .spans import Span, wall
from .writing import written


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of a report, declared: of rows, or of what is in the column `sum`, divided by `per`.

    With `at` a column for each step of time, stacked by `by`; without it a bar for each value of `by`.
    """

    title: str
    unit: str
    at: str = ""
    by: str = ""
    sum: str = ""
    per: float = 1
    finest: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its figures. `series` has a figure for each of the `labels`; `marks` are labels for the axis."""

    title: str
    unit: str
    about: str
    labels: Sequence[str]
    series: dict[str, list[float]]
    marks: Sequence[tuple[int, str]] | None  # None: bars by category


QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
STEPS = (QUARTER, HOUR, timedelta(hours=6), DAY, timedelta(days=7), timedelta(days=30))
MOST = 96  # steps: a day has so many quarters of an hour
SERIES, BARS = 5, 10  # the rest are others
MARKS = 7
OTHERS, NONE, ALL = "others", "none", "all"


def by_quarter(title: str, column: str) -> Chart:
    return Chart(title, "minutes", at="started_at", sum=column, per=60, finest=QUARTER)


CHARTS = {
    "calls": Chart("Calls by type", "calls", at="end_at", by="type"),
    "explore_calls": Chart("Calls by type", "calls", at="end_time", by="call_type"),
    "interaction_custom_fields": Chart("Calls", "calls", at="finished_at"),
    "contacts": Chart("Contacts by ending", "contacts", by="contact_type"),
    "user_status": Chart("Hours of agents by status", "hours", by="status_label", sum="status_time", per=3600),
    "ring_attempts": Chart("Ring attempts by result", "ring attempts", by="attempt_type"),
    "studio_flow_execution": Chart("Steps of flows by exit", "steps", by="exit"),
    "acw_time_data": by_quarter("After-call work", "acw_time_seconds_total"),
    "hold_time_data": by_quarter("Time on hold", "hold_time_seconds_total"),
    "talk_time_data": by_quarter("Talk time", "talk_time_seconds_total"),
    "inbound_contact_volume": Chart(
        "Inbound contacts by ring group", "contacts", at="started_at", by="ring_groups_name", sum="in_contact_volume",
        finest=QUARTER,
    ),
    "contact_online_time": Chart(
        "Time online, by its begin", "hours", at="started_at", sum="status_duration_seconds", per=3600
    ),
    "audit_logs": Chart("Changes by part of the platform", "changes", at="timestamp", by="generator_name", finest=DAY),
    "messaging_contacts": Chart(
        "Messaging contacts by channel", "contacts", at="contact_finished_at", by="channel_type"
    ),
    "messaging_traffic": Chart("Messages by direction", "messages", at="message_created_at", by="message_direction"),
    "feedback_flow": Chart("Answers by channel", "answers", at="date_time", by="survey_channel"),
    "feedback": Chart("Answers by score", "answers", by="score"),
    "csat_score": Chart("Answers by score", "answers", by="score"),
    "outbound_dialer_calls": Chart(
        "Calls of the dialer by outcome", "calls", at="call_finished_time", by="outbound_dialer_system_disposition"
    ),
}  # fmt: skip


def chart_of(report: Report) -> Chart:
    """What is declared for the type, else its rows over time."""
    if declared := CHARTS.get(report.type):
        return declared
    moments = [name for name, column in report.columns.items() if isinstance(column.type, Moment)]
    ends = [name for name in moments if report.columns[name] is report.ended]
    return Chart(report.title, "rows", at=next(iter((*ends, *moments)), ""))


async def pictured(db: Db, report: Report, span: Span, *, account: str, most: int = MOST) -> Picture:
    """The chart of an account's report, in `most` steps of time at most."""
    chart = chart_of(report)
    wanted = {name for name in (chart.at, chart.by, chart.sum) if name} or set(list(report.columns)[:1])
    narrow = replace(report, columns={n: c for n, c in report.columns.items() if n in wanted}, rfc3339=False)
    steps = Steps(span, chart.finest, most) if chart.at else None
    found: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    async with aclosing(written(db, narrow, span, "json_bulk", account=account, base="")) as pieces:
        async for piece, _ in pieces:
            for line in piece.splitlines():
                row: dict[str, Any] = msgspec.json.decode(line)
                worth = (row[chart.sum] or 0) / chart.per if chart.sum else 1
                kind = str(row[chart.by] if row[chart.by] not in (None, "") else NONE) if chart.by else ALL
                found[kind][steps.number(row[chart.at]) if steps else 0] += worth
    first, end = (f"{wall(at, span.zone):%Y-%m-%d %H:%M}" for at in (span.starts, span.ends))
    about = f"{first} to {end}, {span.zone.key}"
    if steps is None:
        bars = fewest({kind: held[0] for kind, held in found.items()}, BARS)
        return Picture(chart.title, chart.unit, about, list(bars), {ALL: list(bars.values())}, None)
    kept = fewest({kind: sum(held.values()) for kind, held in found.items()}, SERIES)
    series = {kind: [0.0] * len(steps.labels) for kind in kept or [ALL]}
    for kind, held in found.items():
        for number, worth in held.items():
            series[kind if kind in kept else OTHERS][number] += worth
    return Picture(chart.title, chart.unit, about, steps.labels, series, steps.marks)


def fewest(found: dict[str, float], most: int) -> dict[str, float]:
    """The largest, and the sum of all others; numbers stay in their order."""
    if found and all(name.isdigit() for name in found):
        return {name: found[name] for name in sorted(found, key=int)[:most]}
    ranked = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    if len(ranked) <= most:
        return dict(ranked)
    return dict(ranked[: most - 1]) | {OTHERS: sum(worth for _, worth in ranked[most - 1 :])}


class Steps:
    """A span cut into steps by the clock on the wall, as few as are asked for."""

    def __init__(self, span: Span, finest: timedelta, most: int) -> None:
        first, end = wall(span.starts, span.zone), wall(span.ends, span.zone)
        fine = [step for step in STEPS if step >= finest]
        self.step = next((step for step in fine if (end - first) / step <= most), fine[-1])
        self.first = self._down(first)
        count = max(1, -((self.first - end) // self.step))
        whens = [self.first + self.step * number for number in range(min(count, 2000))]
        self.labels = [self._label(when) for when in whens]
        self.marks = self._marks(whens)

    def number(self, text: str | None) -> int:
        """In which step a time is; what began before the first is shown there."""
        if not text:
            return 0
        at = datetime.fromisoformat(text[:19])
        return min(max((at - self.first) // self.step, 0), len(self.labels) - 1)

    def _down(self, at: datetime) -> datetime:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (at - midnight) // self.step * self.step

    def _label(self, when: datetime) -> str:
        return f"{when:%d %b}" if self.step >= DAY else f"{when:%d %b %H:%M}"

    def _marks(self, whens: list[datetime]) -> list[tuple[int, str]]:
        """Every so many steps: midnights, where there are several."""
        midnights = [number for number, when in enumerate(whens) if when.hour == when.minute == 0]
        if self.step < DAY and len(midnights) > 2:
            chosen, form = midnights, "%d %b"
        elif self.step < DAY:
            hours = [number for number, when in enumerate(whens) if when.minute == 0]
            chosen, form = hours or [0], "%H:%M"
        else:
            chosen, form = list(range(len(whens))), "%d %b"
        every = next(n for n in (1, 2, 3, 4, 6, 7, 8, 12, 14, 30, 60, 10_000) if len(chosen) / n <= MARKS + 1)
        return [(number, f"{whens[number]:{form}}") for number in chosen[::every]]
