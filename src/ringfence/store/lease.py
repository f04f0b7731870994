"""Leases: what one process at a time may do, and another takes over when it dies."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, or_
from sqlalchemy.dialects.postgresql import insert as upsert

from .columns import Moment
from .db import Db
from .statement import Statement
from .tables.log import leases

TERM = timedelta(seconds=4)

_take = upsert(leases).values(name=bindparam("lease"), holder=bindparam("who"), until=bindparam("until", type_=Moment))
TAKE = Statement(
    _take.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"holder": _take.excluded.holder, "until": _take.excluded.until},
        where=or_(leases.c.holder == bindparam("who"), leases.c.until <= bindparam("now", type_=Moment)),
    ),
    everywhere=True,
)
GIVE_BACK = Statement(
    delete(leases).where(leases.c.name == bindparam("lease"), leases.c.holder == bindparam("who")), everywhere=True
)


async def take(db: Db, name: str, holder: str, now: datetime) -> bool:
    """Take a lease, or renew one's own. False: another process holds it."""
    async with db.writing() as tx:
        return await tx.run(TAKE, lease=name, who=holder, until=now + TERM, now=now) == 1


async def give_back(db: Db, name: str, holder: str) -> None:
    async with db.writing() as tx:
        await tx.run(GIVE_BACK, lease=name, who=holder)
