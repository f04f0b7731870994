"""What the floor is told: a row for each command, written in the teller's transaction, done by who keeps the floor.

No commit, no command; a command is taken out in the transaction that writes down what came of it.
"""

import msgspec
from sqlalchemy import bindparam, delete, select

from ringfence.kernel.ctx import Ctx
from ringfence.store.columns import Json, among
from ringfence.store.statement import Statement, adding
from ringfence.store.tables.floor import floor_inbox

from .events import CustomFields, Line, Rating
from .flows import Value
from .telephony import Signal

CHUNK = 100  # commands that one turn takes
ADD = adding(floor_inbox, everywhere=True)
WAITING = Statement(select(floor_inbox).order_by(floor_inbox.c.n).limit(CHUNK), everywhere=True)
TAKE = Statement(delete(floor_inbox).where(among(floor_inbox.c.n, bindparam("done", type_=Json))), everywhere=True)


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="command"):
    """Something to do on the floor of an account."""


class StartInteraction(Command, frozen=True, kw_only=True, tag="start"):
    """A contact is on the line, and a version of a flow is to handle them."""

    call: str
    execution: str
    flow: str
    version: str
    company_number: str
    contact_number: str  # empty: withheld
    contact_id: str | None = None
    variables: dict[str, Value] = {}


class Incoming(Command, frozen=True, kw_only=True, tag="incoming"):
    """The carrier has a call to a number of the account."""

    company_number: str
    contact_number: str
    call: str = ""


class AskCallback(Command, frozen=True, kw_only=True, tag="callback"):
    """Call somebody back when an agent is free. The row is in `callbacks`."""

    id: str
    contact_id: str | None = None


class CancelCallback(Command, frozen=True, kw_only=True, tag="cancel_callback"):
    id: str


class Phone(msgspec.Struct, frozen=True):
    """A softphone: the address that it connects from, and what it says of itself as a User-Agent header does."""

    address: str
    user_agent: str


class SetStatus(Command, frozen=True, kw_only=True, tag="status"):
    """An agent chooses a status; `phone`, where it is known, is what they have at hand as they do."""

    user: str
    status: str
    phone: Phone | None = None


class TimeOff(Command, frozen=True, kw_only=True, tag="time_off"):
    """An agent's time off has begun, with the status that they have for it; without one, it is over."""

    user: str
    status: str | None = None


class Signalled(Command, frozen=True, kw_only=True, tag="signal"):
    """A carrier, or a person at a console, tells what happened to a call."""

    call: str
    signal: Signal


class WrappedUp(Command, frozen=True, kw_only=True, tag="wrapped_up"):
    """An agent has done the work after a call."""

    user: str
    disposition: Line | None = None
    notes: Line | None = None
    rating: Rating | None = None
    rating_reason: Line | None = None
    custom_fields: CustomFields | None = None


class Reload(Command, frozen=True, kw_only=True, tag="reload"):
    """People, ring groups, attributes, numbers, flows or hours of the account have changed."""


AnyCommand = (
    StartInteraction | Incoming | AskCallback | CancelCallback | SetStatus | TimeOff | Signalled | WrappedUp | Reload
)  # fmt: skip


async def tell(ctx: Ctx, command: AnyCommand) -> None:
    """Ask for something to be done on the floor, in the caller's transaction."""
    args = msgspec.to_builtins(command)
    await ctx.db.run(ADD, account_id=ctx.account, command=args.pop("command"), args=args, at=ctx.now())


def read(command: str, args: dict[str, object]) -> AnyCommand:
    found: AnyCommand = msgspec.convert({"command": command} | args, AnyCommand)
    return found


async def signal(ctx: Ctx, call: str, given: Signal) -> None:
    """Where a carrier tells what happened."""
    await tell(ctx, Signalled(call=call, signal=given))
