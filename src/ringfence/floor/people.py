"""Who a phone number belongs to."""

from typing import Any

from sqlalchemy import bindparam

from ringfence.store.db import Transaction
from ringfence.store.query import Statement, mine
from ringfence.store.tables.contacts import contact_phones, contacts

BY_NUMBER = Statement(
    mine(contacts, contacts.c.id)
    .join(
        contact_phones,
        (contact_phones.c.account_id == contacts.c.account_id) & (contact_phones.c.contact_id == contacts.c.id),
    )
    .where(contact_phones.c.value == bindparam("number"), contacts.c.deleted_at.is_(None))
    .order_by(contacts.c.id)
    .limit(1),
    everywhere=True,  # both tables are cut to the one :account
)


async def contact_of(tx: Transaction, account: str, number: str) -> str | None:
    """The id of the contact that has a number: of the oldest, where several do."""
    row: Any = await tx.one(BY_NUMBER, account=account, number=number) if number else None
    return row["id"] if row is not None else None
