"""What a run of events comes to in the tables of facts, written together."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, bindparam
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.store.query import ACCOUNT, Row, Statement
from ringfence.store.tables.facts import FACTS

MANY = 50  # rows from which on a bulk load pays
Changes = dict[Statement, list[Mapping[str, Any]]]


class Batch:
    """Rows to add; then changes to rows; then what is to be forgotten.

    All that one statement is given is done at once: statements that touch the same columns of a row must not both be
    changes.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[Table, str], list[Mapping[str, Any]]] = {}
        self._changes: Changes = {}
        self._forgotten: Changes = {}

    def add(self, table: Table, account: str, **row: Any) -> None:
        """A row with all columns of its table; one that is there already stays."""
        self._rows.setdefault((table, account), []).append(row)

    def change(self, statement: Statement, account: str, **given: Any) -> None:
        self._changes.setdefault(statement, []).append({"account": account, **given})

    def forget(self, statement: Statement, account: str, **given: Any) -> None:
        self._forgotten.setdefault(statement, []).append({"account": account, **given})

    async def write(self, tx: Any) -> None:
        for (table, account), rows in self._rows.items():
            if len(rows) < MANY:
                await tx.many(ADDING[table], [{"account_id": account, **row} for row in rows])
            else:
                names = [column.name for column in table.c if column.name != "account_id"]
                await tx.load(table, names, [[row[name] for name in names] for row in rows], account_id=account)
        for statement, given in (*self._changes.items(), *self._forgotten.items()):
            await tx.many(statement, given)


ADDING = {
    table: Statement(
        upsert(table).values({c.name: bindparam(c.name, type_=c.type) for c in table.c}).on_conflict_do_nothing()
    )
    for table in FACTS
}


def keeping(table: Table, *names: str, **also: Callable[[Any], Any]) -> Statement:
    """Set columns of a row by its key; the row is made where there is none.

    `also` makes of a new value the one that is kept.
    """
    keys = [column.name for column in table.primary_key]
    named = [name for name in (*keys, *names, *also) if name != "account_id"]
    row = upsert(table).values({"account_id": ACCOUNT, **{n: bindparam(n, type_=table.c[n].type) for n in named}})
    kept = {name: row.excluded[name] for name in names}
    kept |= {name: make(row.excluded[name]) for name, make in also.items()}
    return Statement(row.on_conflict_do_update(index_elements=keys, set_=kept))


def at(text: str) -> datetime:
    """A moment of an event's payload."""
    return datetime.fromisoformat(text).astimezone(UTC)


def maybe_at(text: str | None) -> datetime | None:
    return at(text) if text is not None else None


def joined(ring_groups: Iterable[str]) -> str:
    return "+".join(ring_groups)


Projector = Callable[[Batch, str, Row, dict[str, Any]], None]  # (batch, account, event, its data)
