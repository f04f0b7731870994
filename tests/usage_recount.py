"""Wallets and buckets counted once more, from the raw events alone: second by second, without any cleverness."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction
from math import floor
from typing import Any

STEPS = {"MINUTES": 60, "MB": 10**6, "GB": 10**9}


def when(text: Any) -> datetime:
    return text if isinstance(text, datetime) else datetime.fromisoformat(text)


def used(event: dict[str, Any]) -> dict[str, int]:
    """What an event uses of each resource."""
    kind, told = event["type"], event["data"]
    if kind == "call.ended":
        return {"voice_calls": 1, "voice_talk_time": told["talk_time"], "voice_total_time": told["total_time"]}
    if kind == "callback.changed":
        return {"callbacks": int(told["state"] == "completed")}
    if kind == "recording.created":
        return {"recordings": 1, "recorded_time": told["duration"]}
    if kind == "usage.flushed":
        return {"api_requests": sum(one["count"] for one in told["uses"])}
    if kind == "webhook.tallied":
        return {"webhook_attempts": told["attempts"], "webhook_deliveries": told["delivered"]}
    if kind == "report.finished" and told["status"] == "done":
        return {"reports": 1, "report_rows": told["rows"], "report_size": told["bytes"]}
    return {"message.exchanged": {"messages": 1}, "survey.answered": {"survey_answers": 1}}.get(kind, {})


class Recount:
    """What the events of one account come to. Money and units in millionths."""

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self.put_in: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.drawn: Counter[tuple[str, str]] = Counter()  # by charge number and period
        self.lines: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.buckets: dict[str, dict[str, Any]] = {}
        self.meters: dict[str, dict[str, Any]] = {}
        self.declared: dict[str, int] = {}
        for event in events:
            self.hear(event)

    def balance(self, wallet: str) -> int:
        return self.put_in[wallet] - self.spent[wallet]

    def hear(self, event: dict[str, Any]) -> None:
        told = event["data"]
        if event["type"] == "wallet.declared":
            self.put_in[told["name"]] += told["declared"] - self.declared.get(told["name"], 0)
            self.declared[told["name"]] = told["declared"]
        elif event["type"] == "wallet.topped_up":
            self.put_in[told["name"]] += told["amount"]
        elif event["type"] == "bucket.declared":
            self.buckets[told["id"]] = told
        elif event["type"] == "meter.declared":
            self.meters[told["resource"]] = told
        for resource, quantity in used(event).items():
            self.draw(resource, quantity, when(event["at"]).astimezone(UTC))

    def draw(self, resource: str, quantity: int, at: datetime) -> None:
        meter = self.meters.get(resource, {"unit_of_measure": "", "rounding": "EXACT", "wallet": None, "price": 0})
        step = STEPS.get(meter["unit_of_measure"], 1)
        if resource == "report_size" and not meter["unit_of_measure"]:
            step = 10**6
        if meter["rounding"] == "STARTED" and quantity % step:
            quantity += step - quantity % step
        taken: Counter[str] = Counter()
        for _ in range(quantity):
            taken[self.next_bucket(resource, at)] += 1
        for bucket, count in taken.items():
            price, of = meter["price"], step
            if bucket:
                price, of = self.buckets[bucket]["price"] or 0, STEPS.get(self.buckets[bucket]["unit_of_measure"], 1)
            cost = floor(Fraction(price * count, of) + Fraction(1, 2))
            wallet = meter["wallet"] or ""
            if not cost or wallet not in self.declared:
                wallet, cost = "", 0
            self.spent[wallet] += cost
            line = self.lines[at.date().isoformat(), resource, bucket, wallet]
            line[0] += count
            line[1] += cost

    def next_bucket(self, resource: str, at: datetime) -> str:
        """Where the next second, byte or thing comes out of: free units that end soonest, then the lowest tier."""
        best: tuple[Any, ...] | None = None
        for id, told in self.buckets.items():
            if told["resource"] != resource or not when(told["effective_start"]) <= at < when(told["effective_end"]):
                continue
            period = at.strftime("%Y-%m") if told["renews"] == "MONTHLY" else ""
            step = STEPS.get(told["unit_of_measure"], 1)
            room = Fraction(told["plafond"] * told["plafond_multiplier"] * step, 10**12)
            if self.drawn[id, period] + 1 <= room:
                rank = (told["tier"] or 0, when(told["effective_end"]), told["charge_number"], id, period)
                best = rank if best is None else min(best, rank)
        if best is None:
            return ""
        self.drawn[best[3], best[4]] += 1
        return str(best[3])
