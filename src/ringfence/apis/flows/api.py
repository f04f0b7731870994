"""The Flows API as the world sees it."""

from typing import Any, ClassVar

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, TOO_MANY, Fault
from ringfence.kernel.shapes import Shape

from . import domain

START = Scope("flows-interactions:start", "Start interactions that your flows handle")


class Started(Shape):
    """An interaction that begins now, the version of the flow that handles it, and this execution of it."""

    interaction_id: str
    flow_version_id: str
    flow_execution_id: str
    example: ClassVar = {
        "interaction_id": "5f000000000000000000000000000001",
        "flow_version_id": "5f000000000000000000000000000002",
        "flow_execution_id": "5f000000000000000000000000000003",
    }


async def start_interaction(ctx: Ctx, flow_id: str, body: dict[str, Any]) -> Started:
    """Start an interaction that a flow handles

    The published version of the flow is executed. The body holds the variables that its start takes, and, of any flow,
    `contact_phone_number` (withheld where it is missing) and `talkdesk_phone_number` (a number of the account; the
    flow's own or the account's first where it is missing). Other variables are ignored.
    """
    over = ctx.house.flow_limiter.take(ctx.account)
    if over is not None and over.wait > 0:
        wait = (("Retry-After", str(int(over.wait) + 1)),)
        raise Fault(TOO_MANY, f"This account may start {over.limit} interactions per second.", headers=wait)
    begun = await domain.start(ctx, flow_id, body)
    return Started(interaction_id=begun.call, flow_version_id=begun.version, flow_execution_id=begun.execution)


API = Api(
    name="flows",
    title="Flows API",
    about="Starts interactions that the published version of a flow handles.",
    scopes=(START,),
    operations=(
        Operation(
            "POST",
            "/flows/{flow_id}/interactions",
            START,
            start_interaction,
            status=201,
            problems=(NOT_FOUND, domain.NOT_PUBLISHED),
        ),
    ),
)
