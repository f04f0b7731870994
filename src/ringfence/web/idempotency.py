"""Idempotency-Key on POST: claimed, answered and remembered in the request's own transaction."""

from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import Api, Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import BUSY_KEY, REUSED_KEY, Fault, wrong
from ringfence.kernel.shapes import Nothing
from ringfence.store.columns import Json, Moment
from ringfence.store.query import ACCOUNT, mine
from ringfence.store.secrets import digest
from ringfence.store.statement import Statement
from ringfence.store.tables.log import idempotency as answers

CLAIM = Statement(
    upsert(answers)
    .values(
        account_id=ACCOUNT,
        client_id=bindparam("client"),
        key=bindparam("key"),
        operation=bindparam("operation"),
        fingerprint=bindparam("fingerprint"),
        created_at=bindparam("at", type_=Moment),
    )
    .on_conflict_do_nothing()
)
SEEN = Statement(mine(answers).where(answers.c.client_id == bindparam("client"), answers.c.key == bindparam("key")))
KEEP = Statement(
    update(answers)
    .where(
        answers.c.account_id == ACCOUNT, answers.c.client_id == bindparam("client_"), answers.c.key == bindparam("key_")
    )
    .values(status=bindparam("status_"), headers=bindparam("headers_", type_=Json), body=bindparam("body_"))
)

FORGET = Statement(delete(answers).where(answers.c.created_at < bindparam("before", type_=Moment)), everywhere=True)


class Remembered(NamedTuple):
    """An answer given before to the same request."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def read_key(header: bytes) -> str:
    """1 to 255 visible ASCII characters; quotes around it, as structured fields have them, are taken off."""
    text = header.decode("latin-1").strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not 1 <= len(text) <= 255 or not all("!" <= c <= "~" for c in text):
        raise wrong("Idempotency-Key", "must have 1 to 255 visible ASCII characters")
    return text


async def claim(ctx: Ctx, client: str, key: str, operation: str, path: str, body: bytes) -> Remembered | None:
    """Take the key for this request, or find the answer that the same request got before."""
    fingerprint = digest(path.encode() + b"\n" + body)
    taken: Any = await ctx.db.run(
        CLAIM,
        account=ctx.account,
        client=client,
        key=key,
        operation=operation,
        fingerprint=fingerprint,
        at=ctx.now(),
    )
    if taken:
        return None
    row = await ctx.db.one(SEEN, account=ctx.account, client=client, key=key)
    if row is None:
        raise Fault(BUSY_KEY, headers=(("Retry-After", "1"),))
    if row["operation"] != operation or row["fingerprint"] != fingerprint:
        raise Fault(REUSED_KEY)
    if row["status"] is None:
        raise Fault(BUSY_KEY, headers=(("Retry-After", "1"),))
    return Remembered(row["status"], [(name, value) for name, value in row["headers"]], bytes(row["body"]))


async def keep(ctx: Ctx, client: str, key: str, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    await ctx.db.run(KEEP, account=ctx.account, client_=client, key_=key, status_=status, headers_=headers, body_=body)


async def forget(ctx: Ctx, args: Nothing) -> None:
    """Drop answers that are no longer remembered."""
    await ctx.db.run(FORGET, before=ctx.now() - timedelta(seconds=ctx.settings.idempotency_lifetime))


IDEMPOTENCY = Api(
    name="idempotency",
    title="Idempotency",
    about="Answers remembered for repeated requests.",
    operations=(),
    jobs=(Job("idempotency.forget", Nothing, forget, every=600),),
)
