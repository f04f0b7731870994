"""A house with its doors open: the application, its worker and watchers, served by granian until told to stop."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog

from ringfence import __version__
from ringfence.fence.gate import Gate
from ringfence.fence.house import House
from ringfence.fence.limits import Limiter
from ringfence.kernel.catalog import Api
from ringfence.oauth import tokens
from ringfence.store.duties import attend
from ringfence.store.worker import Worker

from .app import App
from .health import health
from .reference import pages

log = structlog.get_logger()
FAREWELL = 4.0  # seconds that requests in flight have to finish
CONNECTIONS = 20_000  # at a time; an open stream is one


def assemble(house: House, apis: Iterable[Api]) -> tuple[App, Worker]:
    """The application and the worker of a house. Nothing runs yet."""
    apis = tuple(apis)
    settings = house.settings

    async def read_token(token: str) -> Any:
        return await tokens.read(house, token)

    house.gate = Gate(house.view, read_token, house.world.time, settings.staleness_limit)
    house.token_limiter = Limiter(settings.token_rate_limit, house.world.time)
    house.flow_limiter = Limiter(settings.flows_rate_limit, house.world.time)
    worker = Worker(house.db, house.world, apis, house.ctx)
    app = App(house, (*apis, health(lambda: app), pages(apis, __version__)), house.gate, bell=worker.bell.set)
    return app, worker


def free_port(host: str) -> int:
    """A port that nobody listens at just now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(host: str, port: int) -> None:
    """Raises OSError with a sentence for the operator where the address cannot be listened at."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as why:
            raise OSError(f"{host}:{port} cannot be listened at: {why.strerror}. Choose another with --port.") from why


async def serve(
    house: House,
    apis: Iterable[Api],
    *,
    host: str,
    port: int,
    ready: Callable[[], None],
    beside: Iterable[Coroutine[Any, Any, None]] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are finished, then everything is closed.

    `beside` runs as long as the server does.
    """
    from granian.constants import Interfaces
    from granian.server.embed import Server

    app, worker = assemble(house, apis)
    await house.view.acknowledge(house.world.now())
    background = [
        asyncio.create_task(house.view.watch(house.settings.poll_interval, house.world.now), name="view"),
        asyncio.create_task(house.usage.run(house.settings.usage_flush), name="usage"),
        asyncio.create_task(worker.run(), name="worker"),
        asyncio.create_task(attend(house, app.apis), name="duties"),
        *(asyncio.create_task(one) for one in beside),
    ]
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        log_enabled=False,
        websockets=False,
        backlog=1024,
        backpressure=CONNECTIONS,
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.create_task(server.serve(), name="http")
    stop = asyncio.create_task(stopping.wait())
    try:
        if await _listening(host, port, serving):
            gc.collect()
            gc.freeze()  # what has been made until now stays: looking through it again and again takes 40 ms each time
            ready()
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        if house.live is not None:
            await house.live.close()  # streams would go on for ever
        server.stop()  # type: ignore[no-untyped-call]
        stop.cancel()
        with suppress(TimeoutError, asyncio.CancelledError, Exception):
            await asyncio.wait_for(asyncio.shield(serving), FAREWELL)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await _close(house)


async def _listening(host: str, port: int, serving: asyncio.Task[Any]) -> bool:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not binding, asking
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(target, port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return True
    return False


async def _close(house: House) -> None:
    try:
        await house.usage.flush()
        await house.view.leave()
    except Exception:
        log.exception("closing.failed")
    await house.db.close()


def run(main: Any) -> None:
    """Run on uvloop where there is one."""
    if sys.platform == "win32":
        asyncio.run(main)
    else:
        import uvloop

        uvloop.run(main)
