"""Starting an interaction that a flow handles: who is called by whom, with which variables, told to the floor."""

from collections.abc import Mapping
from typing import Any

from ringfence.floor import flow_store, people
from ringfence.floor.flows import Value, read, taken_in
from ringfence.floor.inbox import StartInteraction, tell
from ringfence.floor.numbers import MALFORMED, digits
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID, Fault, FieldError, Problem
from ringfence.store.query import Row, Statement, all_rows, mine, one
from ringfence.store.tables.identity import numbers

NOT_PUBLISHED = Problem("flow_not_published", 409, "No version of this flow is published yet; publish one first.")
CONTACT, COMPANY = "contact_phone_number", "talkdesk_phone_number"  # variables of the platform's, in any body

NUMBERS = Statement(mine(numbers).order_by(numbers.c.number))


async def start(ctx: Ctx, flow_id: str, given: Mapping[str, Any]) -> StartInteraction:
    """Tell the floor that a contact is on the line. Raises a Fault that names the variables at fault."""
    flow = await one(ctx, flow_store.BY_ID, flow=flow_id)
    version = await flow_store.published_of(ctx, flow)
    if version is None:
        raise Fault(NOT_PUBLISHED)
    wrongs: list[FieldError] = []
    company = await _company_number(ctx, flow, given.get(COMPANY), wrongs)
    contact = _contact_number(given.get(CONTACT), wrongs)
    variables: dict[str, Value] = {}
    try:
        variables = taken_in(read(version["document"]), given)
    except Fault as why:
        wrongs += why.detail.fields
    if wrongs:
        raise Fault(INVALID, f"{wrongs[0].name}: {wrongs[0].description}", fields=tuple(wrongs))
    begun = StartInteraction(
        call=ctx.new_key(),
        execution=ctx.new_key(),
        flow=flow["id"],
        version=version["id"],
        company_number=company,
        contact_number=contact,
        contact_id=await people.contact_of(ctx.db, ctx.account, contact),
        variables=variables,
    )
    await tell(ctx, begun)
    return begun


async def _company_number(ctx: Ctx, flow: Row, given: Any, wrongs: list[FieldError]) -> str:
    """The number that was named, else the one whose calls the flow answers, else the account's first."""
    known = await all_rows(ctx, NUMBERS)
    found: list[str]
    if given is None:
        found = [row["number"] for row in known if row["flow_id"] == flow["id"]] + [row["number"] for row in known]
        told = "is needed: the account has no number yet"
    else:
        found = [row["number"] for row in known if row["number"] == given]
        told = "must be a number of this account, in E.164"
    if not found:
        wrongs.append(FieldError(COMPANY, told))
        return ""
    return found[0]


def _contact_number(given: Any, wrongs: list[FieldError]) -> str:
    """The number that was given; empty where it is withheld."""
    if given is None or given == "":
        return ""
    if not isinstance(given, str) or digits(given) is None:
        wrongs.append(FieldError(CONTACT, MALFORMED))
    return str(given)
