"""Rate limits: a token bucket per caller, in memory."""

from collections.abc import Callable
from typing import NamedTuple

CALLERS = 100_000  # buckets kept at most


class Allowance(NamedTuple):
    """What is left: `wait` is above 0, in seconds, where the call is over the limit."""

    limit: int
    left: int
    wait: float


class Limiter:
    """`rate` calls per second per caller, with bursts of one second's worth. 0 for no limit."""

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self.rate, self._clock = rate, clock
        self._buckets: dict[str, list[float]] = {}

    def take(self, caller: str) -> Allowance | None:
        """Count one call; None where there is no limit."""
        rate = self.rate
        if not rate:
            return None
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[caller] = [float(rate), now]
        level = min(float(rate), bucket[0] + (now - bucket[1]) * rate)
        bucket[1] = now
        if level < 1:
            bucket[0] = level
            return Allowance(rate, 0, (1 - level) / rate)
        bucket[0] = level - 1
        return Allowance(rate, int(level - 1), 0.0)

    def _make_room(self, now: float) -> None:
        if len(self._buckets) >= CALLERS:
            full = [caller for caller, bucket in self._buckets.items() if now - bucket[1] >= 1]
            for caller in full or [next(iter(self._buckets))]:
                del self._buckets[caller]
