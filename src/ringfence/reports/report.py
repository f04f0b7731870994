"""What a report is: a select over facts with named columns, of which one says when a row was over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Integer, Select, Text, and_, bindparam, case, func, literal_column, null, select
from sqlalchemy import type_coerce as as_type
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from ringfence.store.columns import Fraction, Moment
from ringfence.store.dump import local_time
from ringfence.store.expressions import ring_groups_of
from ringfence.store.query import ACCOUNT
from ringfence.store.tables.identity import numbers, ring_group_users, teams, users

Column = ColumnElement[Any]
LONGEST = timedelta(days=400)  # how far before its end a row may have begun for its times to be in the zone's hours
EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))  # the same of moments at any time
BASE: Any = bindparam("base", type_=Text())  # of this server's links


@dataclass(frozen=True, slots=True)
class Report:
    """A type of report. `order` makes rows come in one order; `versioned` reports say in JSON what they are.

    Moments are shown in the zone that was asked for, in `rfc3339` reports in UTC; `precise` adds milliseconds. Columns
    that are `filled` are empty texts rather than null; moments of those `at_any_time` may be far from the row's end.
    Where there are `sums`, rows that are the same in all other columns become one.
    """

    type: str
    title: str
    about: str
    source: FromClause
    ended: Column
    order: tuple[Column, ...]
    columns: Mapping[str, Column]
    rfc3339: bool = False
    precise: bool = False
    versioned: bool = False
    filled: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    only: Column | None = None  # which rows of the source
    at_any_time: tuple[str, ...] = ()


def selecting(report: Report, zone: ZoneInfo, starts: datetime, ends: datetime) -> Select[Any]:
    """The rows of an account that were over from `starts` until before `ends`, as they are to be shown."""
    about = (starts - LONGEST, ends + timedelta(days=2))

    def shown(name: str, column: Column) -> Column:
        made: Column = column
        if isinstance(column.type, Moment):
            days = EVER if name in report.at_any_time else about
            made = local_time(column, None if report.rfc3339 else zone, days, milliseconds=report.precise)
        return (text_of(made) if name in report.filled else made).label(name)

    within = and_(report.ended >= bindparam("starts", type_=Moment), report.ended < bindparam("ends", type_=Moment))
    mine = [account_of(report.source), within, *([report.only] if report.only is not None else [])]
    if report.sums:
        groups = [column for name, column in report.columns.items() if name not in report.sums]
        named = [column.label(name) for name, column in report.columns.items()]
        summed = select(*named).select_from(report.source).where(*mine).group_by(*groups).subquery("summed")
        order = [column.nulls_first() for name, column in summed.c.items() if name not in report.sums]
        return select(*[shown(name, column) for name, column in summed.c.items()]).order_by(*order)
    chosen = select(*[shown(name, column) for name, column in report.columns.items()])
    return chosen.select_from(report.source).where(*mine).order_by(*report.order)


def account_of(source: FromClause) -> Any:
    """The source's own rows are the account's."""
    first: Any = source
    while hasattr(first, "left"):
        first = first.left
    return first.c.account_id == ACCOUNT


def with_user(source: FromClause, user: Column, name: str = "agent") -> tuple[FromClause, Any, Any]:
    """A source with the person that one of its columns names, and their team."""
    person, team = users.alias(name), teams.alias(f"{name}_team")
    joined = source.outerjoin(person, and_(person.c.account_id == ACCOUNT, person.c.id == user))
    joined = joined.outerjoin(team, and_(team.c.account_id == ACCOUNT, team.c.id == person.c.team_id))
    return joined, person.c, team.c


def with_number(source: FromClause, number: Column) -> tuple[FromClause, Any]:
    """A source with what the account calls the number."""
    line = numbers.alias("line")
    return source.outerjoin(line, and_(line.c.account_id == ACCOUNT, line.c.number == number)), line.c


def with_ring_groups(source: FromClause, user: Column) -> tuple[FromClause, Any]:
    """A source with the ring groups that a person is in."""
    member = ring_group_users.c
    found = (
        select(member.user_id, ring_groups_of(member.ring_group).label("names"))
        .where(member.account_id == ACCOUNT)
        .group_by(member.user_id)
        .subquery("member_of")
    )
    return source.outerjoin(found, found.c.user_id == user), found.c


# how values are shown


def yes_no(value: Column) -> Column:
    return case((value.is_(True), "Yes"), (value.is_(False), "No"))


def true_false(value: Column) -> Column:
    return case((value.is_(True), "TRUE"), (value.is_(False), "FALSE"))


def days(seconds: Column) -> Column:
    """Seconds as a fraction of a day."""
    return as_type(seconds / literal_column("86400.0"), Fraction())


def text_of(value: Column) -> Column:
    """Never null."""
    return func.coalesce(value, literal_column("''"))


NO_TEXT: Column = as_type(null(), Text())
NO_NUMBER: Column = as_type(null(), Integer())
