"""Whether the server is alive, whether it is ready, and how it is doing (Prometheus text format)."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ringfence.kernel.catalog import PUBLIC, Api, Operation
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import UNAVAILABLE, Fault
from ringfence.kernel.shapes import Plain

if TYPE_CHECKING:
    from .app import App

NO_STORE = (("cache-control", "no-store"),)


async def healthz(ctx: Ctx) -> Plain:
    """Say that the process is alive"""
    return Plain({"status": "alive"}, headers=NO_STORE)


async def readyz(ctx: Ctx) -> Plain:
    """Say whether requests can be answered: the database answers and the view of the grants is confirmed"""
    try:
        await ctx.house.view.refresh()
    except Exception as why:
        raise Fault(UNAVAILABLE, "The database does not answer.", headers=(("Retry-After", "1"),)) from why
    return Plain({"status": "ready", "fence_version": ctx.house.view.version}, headers=NO_STORE)


class Measures(Collector):
    """The counts that the endpoints keep, read when somebody asks."""

    def __init__(self, app: "App") -> None:
        self._app = app

    def collect(self) -> Iterator[Any]:
        requests = CounterMetricFamily(
            "ringfence_requests", "Requests answered, by operation and status.", labels=("operation", "status")
        )
        seconds = HistogramMetricFamily(
            "ringfence_request_seconds", "Time from a request's arrival to its answer.", labels=("operation",)
        )
        for endpoint in self._app.endpoints:
            for status, count in sorted(endpoint.counts.items()):
                requests.add_metric((endpoint.name, str(status)), count)
            total, buckets = 0, []
            for index, count in enumerate(endpoint.seconds):
                total += count
                buckets.append((f"{2**index / 1000:g}" if index < 11 else "+Inf", total))
            if total:
                seconds.add_metric((endpoint.name,), buckets, endpoint.total_seconds)
        yield requests
        yield seconds
        view = self._app.house.view
        yield GaugeMetricFamily("ringfence_requests_in_flight", "Requests being answered now.", self._app.in_flight)
        yield GaugeMetricFamily("ringfence_clients", "OAuth clients known to the fence.", len(view.clients))
        yield GaugeMetricFamily("ringfence_fence_version", "Version of the view of the grants.", view.version)


def health(app: Callable[[], "App"]) -> Api:
    """The operations that watch over a server. `app` is asked for when they are, not before."""
    registry = CollectorRegistry()
    known: list[Measures] = []

    async def metrics(ctx: Ctx) -> Plain:
        """Report counts and times for Prometheus"""
        if not known:
            known.append(Measures(app()))
            registry.register(known[0])
        return Plain(
            generate_latest(registry).decode(), media="text/plain; version=0.0.4; charset=utf-8", headers=NO_STORE
        )

    return Api(
        name="health",
        title="Health",
        about="Whether the server is alive, ready, and how it is doing.",
        operations=(
            Operation("GET", "/healthz", PUBLIC, healthz),
            Operation("GET", "/readyz", PUBLIC, readyz),
            Operation("GET", "/metrics", PUBLIC, metrics),
        ),
    )
