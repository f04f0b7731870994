"""What the commands share: an open house, the account they work on, and how they show things."""

import asyncio
import getpass
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringfence.kernel.problems import Fault
from ringfence.kernel.settings import BadSetting, Settings, load
from ringfence.store.db import DatabaseUnavailable

if TYPE_CHECKING:
    from ringfence.fence.house import House
    from ringfence.kernel.catalog import Reaction
    from ringfence.kernel.ctx import Ctx

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


class Stop(Exception):
    """Something the person at the keyboard should know, and an exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Desk:
    """The global options of a command: where the data is and which account is meant."""

    def __init__(self, database: str | None, config: Path | None, account: str | None) -> None:
        self.database, self.config, self.account = database, config, account

    def settings(self) -> Settings:
        return load(file=self.config, database=self.database)


def desk(context: typer.Context) -> Desk:
    found: Desk = context.obj
    return found


def actor() -> str:
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"


@asynccontextmanager
async def opened(given: Desk) -> AsyncIterator["House"]:
    """The house behind the given options, closed afterwards."""
    from ringfence.apis.all import APIS
    from ringfence.kernel.world import World
    from ringfence.oauth.opening import open_house

    house = await open_house(given.settings(), World(), APIS)
    try:
        yield house
    finally:
        await house.db.close()


def chosen_account(house: "House", given: Desk) -> str:
    """The id of the account that is meant."""
    names = house.view.account_names
    if given.account is not None:
        if given.account not in names:
            raise Stop(f"There is no account called {given.account!r}; there is {', '.join(sorted(names)) or 'none'}.")
        return names[given.account]
    if not names:
        raise Stop("There is no account yet; make one with `ringfence apply FILE` or `ringfence serve --demo`.")
    if len(names) > 1:
        raise Stop(f"Say which account with --account: {', '.join(sorted(names))}.")
    return next(iter(names.values()))


async def within(given: Desk, work: Callable[["Ctx"], Awaitable[Any]], *, settle: bool = False) -> Any:
    """Do something in one transaction on the chosen account. `settle` waits until every server has seen it."""
    from ringfence.fence import view

    async with opened(given) as house:
        account = chosen_account(house, given)
        async with house.db.writing() as tx:
            result = await work(house.ctx(tx, account, actor(), "cli"))
        if settle:
            await view.settle(house.db, house.settings.staleness_limit)
        return result


async def caught_up(given: Desk, reaction: "Reaction", work: Callable[["Ctx"], Awaitable[Any]]) -> Any:
    """Read something of the chosen account, once a reaction has heard all that has happened until now."""
    from ringfence.store.worker import catch_up

    async with opened(given) as house:
        await catch_up(house.db, house.ctx, reaction)
        async with house.db.reading() as tx:
            return await work(house.ctx(tx, chosen_account(house, given), actor(), "cli"))


def run(work: Awaitable[Any]) -> Any:
    """Run a command's work; what goes wrong is one line on stderr, not a traceback."""

    async def main() -> Any:
        return await work

    try:
        return asyncio.run(main())
    except Stop as why:
        typer.echo(f"ringfence: {why}", err=True)
        raise typer.Exit(why.code) from why
    except Fault as why:
        typer.echo(f"ringfence: {why.detail.description or why.problem.message}", err=True)
        raise typer.Exit(1) from why
    except (BadSetting, DatabaseUnavailable) as why:
        typer.echo(f"ringfence: {why}", err=True)
        raise typer.Exit(1) from why
    except KeyboardInterrupt as why:
        raise typer.Exit(130) from why


def moment(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else ""


def as_json(value: Any) -> None:
    def plain(odd: Any) -> Any:
        return odd.isoformat().replace("+00:00", "Z") if isinstance(odd, datetime) else str(odd)

    sys.stdout.write(json.dumps(value, indent=2, default=plain, ensure_ascii=False) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """A table on the terminal; nothing in it is taken as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    Console().print(made)
