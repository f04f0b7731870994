"""Files of numbers not to call: taken into a list, and written out of one."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ringfence.floor import imports, numbers
from ringfence.floor.imports import Bad, Good, Kind, Refused
from ringfence.floor.uploads import Validate
from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx
from ringfence.store.csv_rows import BadFile
from ringfence.store.query import Row, Statement, all_rows, mine
from ringfence.store.stage import Staged
from ringfence.store.tables.lists import do_not_call_entries as entries

from .domain import BY_NUMBERS, DUPLICATE, HERE, LIST_VALIDATED, VALIDATION, listed_until

COLUMNS = ("id", "number", "expiration_date", "reason")
EVERYTHING = Statement(mine(entries).where(HERE).order_by(entries.c.number))


async def exported(ctx: Ctx, list_id: str) -> AsyncGenerator[list[str], None]:
    """A list as rows of a file that can be imported again, the header first."""
    yield ["phone_number", "expiration_date", "reason"]
    async with aclosing(ctx.db.scan(EVERYTHING, account=ctx.account, list=list_id)) as found:
        async for row in found:
            yield [numbers.shown(row["number"]), row["expiration_date"] or "", row["reason"] or ""]


def checker(columns: list[str], of: Row) -> imports.Check:
    """How a row of a file is checked: phone_number, expiration_date, reason; other columns are passed over."""
    if "phone_number" not in columns:
        raise BadFile(1, "the column phone_number is missing")
    at = columns.index("phone_number")
    until = columns.index("expiration_date") if "expiration_date" in columns else None
    why = columns.index("reason") if "reason" in columns else None
    digits, malformed = numbers.digits, Bad("PHONE_NUMBER_INVALID", f"phone_number {numbers.MALFORMED}")
    missing = Bad("PHONE_NUMBER_MISSING", "phone_number is empty")

    def check(row: list[str]) -> Good | Bad:
        text = row[at].strip()
        number = digits(text)
        if number is None:
            return malformed if text else missing
        date_text = row[until].strip() if until is not None else ""
        if date_text:
            try:
                listed_until(date_text)
            except ValueError as bad:
                return Bad("EXPIRATION_DATE_INVALID", f"expiration_date {bad}")
        reason = row[why].strip() if why is not None else ""
        if len(reason) > 255:
            return Bad("OTHER", "reason must have at most 255 characters")
        return Good(number, (), (number, date_text or None, reason or None))

    return check


async def store(ctx: Ctx, held: Row, upload: Row, chunk: list[Staged], ids: list[str]) -> list[Refused]:
    """Store a chunk of a file; rows whose number was added meanwhile are refused."""
    known: set[int] = set()
    if held["count"] > upload["accepted"]:  # not all of it is from this file
        found = [staged.values[0] for staged in chunk]
        known = {row["number"] for row in await all_rows(ctx, BY_NUMBERS, list=held["id"], numbers=found)}
    rows = [(id, *one.values) for id, one in zip(ids, chunk, strict=True) if one.values[0] not in known]
    same = {"list_id": held["id"], "account_id": ctx.account, "created_at": ctx.now(), "updated_at": ctx.now()}
    await ctx.db.load(entries, COLUMNS, rows, **same)
    return [Refused(one.row, *DUPLICATE) for one in chunk if one.values[0] in known]


FILES = Kind(
    tables=(entries,),
    limit=lambda settings: settings.list_entries,
    checker=checker,
    duplicate=DUPLICATE,
    once=lambda of: "place",
    store=store,
    validated=LIST_VALIDATED,
)


async def validate(ctx: Ctx, args: Validate) -> None:
    await imports.validate(ctx, args.upload, FILES)


VALIDATE = Job(VALIDATION, Validate, validate, long=True)
