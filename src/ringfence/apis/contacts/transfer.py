"""Contacts from a CSV file and into one.

Cells of `emails`, `phones`, `tags` and `integrations` hold several values, separated by semicolons; an e-mail address
or a number may have a label (`work=ana@example.com`). Columns with other names are custom fields.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.store import csv_rows
from ringfence.store.columns import Json, among
from ringfence.store.csv_rows import BadFile
from ringfence.store.query import ACCOUNT, Row, Statement, all_rows, mine
from ringfence.store.tables.contacts import contact_emails, contact_fields, contact_phones, contacts
from ringfence.store.tables.identity import platform_facts

from . import domain
from .api import NewContact

PLAIN = ("name", "company", "title", "address", "website")
SEVERAL = ("emails", "phones", "tags", "integrations")
CHUNK = 200  # rows that are stored in one transaction

EVERYTHING = Statement(mine(contacts).where(contacts.c.deleted_at.is_(None)).order_by(contacts.c.id))
FIELDS = Statement(mine(contact_fields, contact_fields.c.contact_id, contact_fields.c.key, contact_fields.c.value))
NAMES = Statement(mine(contact_fields, contact_fields.c.key).distinct().order_by(contact_fields.c.key))
OF_CONTACTS = Statement(mine(contact_fields).where(among(contact_fields.c.contact_id, bindparam("ids", type_=Json))))
KNOWN = tuple(
    Statement(
        mine(table, table.c.value)
        .join(contacts, (contacts.c.account_id == ACCOUNT) & (contacts.c.id == table.c.contact_id))
        .where(among(table.c.value, bindparam("values", type_=Json)), contacts.c.deleted_at.is_(None))
    )
    for table in (contact_emails, contact_phones)
)
PLACE = Statement(select(platform_facts.c.value).where(platform_facts.c.name == bindparam("name")))
REMEMBER = Statement(
    upsert(platform_facts)
    .values(name=bindparam("name"), value=bindparam("place"))
    .on_conflict_do_update(index_elements=[platform_facts.c.name], set_={"value": bindparam("place")})
)
FORGET = Statement(delete(platform_facts).where(platform_facts.c.name == bindparam("name_")))


class Parsed(NamedTuple):
    """A row of a file: the contact and its custom fields, or why it is none."""

    row: int
    facts: dict[str, Any]
    fields: dict[str, str]
    why: str = ""


class Outcome(NamedTuple):
    """What became of some rows."""

    added: int
    known: int
    refused: list[Parsed]


def read(path: Path, *, skip: int = 0) -> AsyncIterator[list[Parsed]]:
    """The rows of a file in chunks, without the first ones. Raises BadFile."""
    found = csv_rows.rows(path)
    header = csv_rows.columns(next(found))
    if "name" not in header:
        raise BadFile(1, "the column name is missing")
    rows = (_parsed(header, row, number) for number, row in enumerate(found, start=2) if row)

    async def chunks() -> AsyncIterator[list[Parsed]]:
        for _ in islice(rows, skip):
            pass
        while chunk := list(islice(rows, CHUNK)):
            yield chunk

    return chunks()


def _labelled(cell: str, member: str) -> list[dict[str, str]]:
    found = []
    for part in _parts(cell):
        label, mark, value = part.rpartition("=")
        found.append({member: value.strip(), "label": label.strip() if mark else ""})
    return found


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _integrations(cell: str) -> list[dict[str, str]]:
    pairs = [part.partition(":") for part in _parts(cell)]
    return [{"name": name, "external_id": id} for name, _, id in pairs]


def _parsed(header: list[str], row: list[str], number: int) -> Parsed:
    if len(row) != len(header):
        return Parsed(number, {}, {}, f"has {len(row)} fields, the header has {len(header)}")
    said = dict(zip(header, row, strict=True))
    facts: dict[str, Any] = {name: said.get(name, "").strip() for name in PLAIN}
    facts["emails"] = _labelled(said.get("emails", ""), "email")
    facts["phones"] = _labelled(said.get("phones", ""), "number")
    facts["tags"] = _parts(said.get("tags", ""))
    facts["integrations"] = _integrations(said.get("integrations", ""))
    fields = {name: value for name, value in said.items() if name not in (*PLAIN, *SEVERAL) and value}
    try:
        facts = msgspec.to_builtins(msgspec.convert(facts, NewContact))
    except msgspec.ValidationError as why:
        return Parsed(number, {}, {}, str(why).replace("`$.", "`"))
    return Parsed(number, facts, fields)


async def store(ctx: Ctx, chunk: list[Parsed]) -> Outcome:
    """Add contacts, but for those whose e-mail address or number somebody has already."""
    good = [one for one in chunk if not one.why]
    refused = [one for one in chunk if one.why]
    emails, phones = KNOWN
    keys = [[_keys(one.facts, member) for one in good] for member in ("emails", "phones")]
    taken: set[str] = set()
    for statement, found in zip((emails, phones), keys, strict=True):
        values = [value for of_row in found for value in of_row]
        taken |= {row["value"] for row in await all_rows(ctx, statement, values=values)}
    added = 0
    for one, mails, numbers in zip(good, *keys, strict=True):
        if taken.isdisjoint((*mails, *numbers)):
            taken.update((*mails, *numbers))
            row = await domain.create(ctx, one.facts)
            added += 1
            for name, value in one.fields.items():
                try:
                    await domain.set_field(ctx, row["id"], name, value)
                except Fault as why:
                    refused.append(one._replace(why=f"{name}: {why.detail.description or why.problem.message}"))
    return Outcome(added, len(good) - added, refused)


def _keys(facts: dict[str, Any], member: str) -> list[str]:
    if member == "emails":
        return [email["email"].casefold() for email in facts["emails"]]
    return [phone["number"] for phone in facts["phones"]]


async def place(ctx: Ctx, mark: str) -> int:
    """How many rows of a file have been stored by a run that was stopped."""
    row = await ctx.db.one(PLACE, name=_name(ctx, mark))
    return int(row["value"]) if row else 0


async def remember(ctx: Ctx, mark: str, stored: int | None) -> None:
    """Keep the place in a file, in the transaction that stores its rows; None: it is through."""
    if stored is None:
        await ctx.db.run(FORGET, name_=_name(ctx, mark))
    else:
        await ctx.db.run(REMEMBER, name=_name(ctx, mark), place=str(stored))


def _name(ctx: Ctx, mark: str) -> str:
    return f"import {ctx.account} {mark}"[:64]


async def exported(ctx: Ctx) -> AsyncGenerator[list[str], None]:
    """Every contact as a row of a file that can be imported again, the header first."""
    names = [row["key"] for row in await all_rows(ctx, NAMES)]
    own = [name for name in names if name not in (*PLAIN, *SEVERAL)]
    yield [*PLAIN, *SEVERAL, *own]
    chunk: list[Row] = []
    async with aclosing(ctx.db.scan(EVERYTHING, account=ctx.account)) as found:
        async for row in found:
            chunk.append(row)
            if len(chunk) == CHUNK:
                for cells in await _cells(ctx, chunk, own):
                    yield cells
                chunk = []
    for cells in await _cells(ctx, chunk, own):
        yield cells


async def _cells(ctx: Ctx, chunk: list[Row], names: list[str]) -> list[list[str]]:
    fields: dict[str, dict[str, str]] = {}
    if names:
        for field in await all_rows(ctx, OF_CONTACTS, ids=[row["id"] for row in chunk]):
            fields.setdefault(field["contact_id"], {})[field["key"]] = field["value"]
    return [
        [
            *(row[name] for name in PLAIN),
            ";".join(_labels(email["label"], email["email"]) for email in row["emails"]),
            ";".join(_labels(phone["label"], phone["number"]) for phone in row["phones"]),
            ";".join(row["tags"]),
            ";".join(f"{one['name']}:{one['external_id']}" for one in row["integrations"]),
            *(fields.get(row["id"], {}).get(name, "") for name in names),
        ]
        for row in chunk
    ]


def _labels(label: str, value: str) -> str:
    return f"{label}={value}" if label else value
