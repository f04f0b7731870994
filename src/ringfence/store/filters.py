"""Filters and orders that a caller writes: `status eq 'ACTIVE' and (risk gt 50 or not contains(name, 'Sol'))`.

    filter     = either
    either     = both { "or" both }
    both       = one { "and" one }
    one        = "not" one | "(" either ")" | test
    test       = field compare value | field "in" "(" value { "," value } ")"
               | ( "contains" | "startswith" ) "(" field "," text ")" | field ( "contains" | "startswith" ) text
    compare    = "eq" | "ne" | "gt" | "ge" | "lt" | "le"
    value      = text | number | moment | "true" | "false" | "null"

A text stands in single quotes, one within it is doubled; a number is one of JSON; a moment is RFC 3339, with quotes or
without. Every test is either true or false: nothing equals nothing, and is neither more nor less than anything. Rows
without a value come first when they are ordered by it, and last when that is descending.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Float, Integer, and_, false, func, literal, not_, or_
from sqlalchemy.sql.elements import ColumnElement

from ringfence.kernel.problems import Fault, wrong

from .columns import Moment

Field = ColumnElement[Any]
Condition = ColumnElement[bool]
LONGEST, MOST, DEEPEST = 2000, 50, 20  # characters, tests, parentheses within one another
TOKEN = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<moment>\d{4}-\d{2}-\d{2}T[0-9:.]+(?:Z|[+-]\d{2}:\d{2}))"
    r"|(?P<number>-?\d{1,18}(?:\.\d{1,20})?(?:[Ee][+-]?\d{1,3})?)(?![\w.])|(?P<word>[A-Za-z_][\w./]*)"
    r"|(?P<mark>[(),])",
    re.ASCII,
)
COMPARE: dict[str, Callable[[Field, Any], Condition]] = {
    "eq": lambda field, value: field.is_not_distinct_from(value),
    "ne": lambda field, value: field.is_distinct_from(value),
    "gt": lambda field, value: func.coalesce(field > value, false()),
    "ge": lambda field, value: func.coalesce(field >= value, false()),
    "lt": lambda field, value: func.coalesce(field < value, false()),
    "le": lambda field, value: func.coalesce(field <= value, false()),
}
FUNCTIONS: dict[str, Callable[[Field, str], Condition]] = {
    "contains": lambda field, text: func.coalesce(field != func.replace(field, text, ""), false()),
    "startswith": lambda field, text: func.coalesce(func.substr(field, 1, len(text)) == text, false()),
}
RESERVED = {*COMPARE, *FUNCTIONS, "and", "or", "not", "in", "true", "false", "null"}


class Token(NamedTuple):
    kind: str  # text | moment | number | word | mark | end
    text: str
    at: int  # which character it begins at, from 1


def condition(filter: str, fields: Mapping[str, Field]) -> Condition:
    """What a filter asks of rows; `fields` are those that may be named. Raises a Fault naming `filter`."""
    return _Reader(filter, fields).whole()


def order(order_by: str, fields: Mapping[str, Field]) -> list[ColumnElement[Any]]:
    """`name asc, created_at desc`: `asc` may be left out. Raises a Fault naming `order_by`."""
    found: list[ColumnElement[Any]] = []
    for part in order_by.split(",") if order_by.strip() else ():
        words = part.split()
        if len(words) not in (1, 2) or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
            raise wrong("order_by", f"{part.strip()!r} is not a field, or a field with asc or desc after it")
        if words[0] not in fields:
            raise wrong("order_by", f"{words[0]!r} is none of {_names(fields)}")
        field = fields[words[0]]
        falling = len(words) == 2 and words[1].lower() == "desc"
        by = field.desc() if falling else field.asc()
        if getattr(field, "nullable", True):  # databases differ in where they put what has no value
            by = by.nulls_last() if falling else by.nulls_first()
        found.append(by)
    return found


def _names(fields: Mapping[str, Field]) -> str:
    return ", ".join(sorted(fields))


class _Reader:
    """Reads a filter from its beginning to its end."""

    def __init__(self, filter: str, fields: Mapping[str, Field]) -> None:
        if len(filter) > LONGEST:
            raise wrong("filter", f"must be at most {LONGEST} characters long")
        self.fields, self.place, self.tests, self.depth = fields, 0, 0, 0
        self.tokens = self._tokens(filter)

    def whole(self) -> Condition:
        found = self.either()
        if self.now.kind != "end":
            raise self.refusal("expected `and`, `or` or the end")
        return found

    def either(self) -> Condition:
        found = [self.both()]
        while self.take("or"):
            found.append(self.both())
        return found[0] if len(found) == 1 else or_(*found)

    def both(self) -> Condition:
        found = [self.one()]
        while self.take("and"):
            found.append(self.one())
        return found[0] if len(found) == 1 else and_(*found)

    def one(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refusal(f"more than {DEEPEST} within one another")
        if self.take("not"):
            found: Condition = not_(self.one())
        elif self.take("("):
            found = self.either()
            self.want(")")
        else:
            found = self.test()
        self.depth -= 1
        return found

    def test(self) -> Condition:
        self.tests += 1
        if self.tests > MOST:
            raise self.refusal(f"more than {MOST} tests")
        word = self.now.text.lower()
        if word in FUNCTIONS and self.tokens[self.place + 1].text == "(":
            self.place += 2
            field = self.field()
            self.want(",")
            text = self.text()
            self.want(")")
            return FUNCTIONS[word](field, text)
        field = self.field()
        verb = self.now.text.lower()
        if verb in COMPARE:
            self.place += 1
            return COMPARE[verb](field, self.value(field, verb))
        if verb in FUNCTIONS:
            self.place += 1
            return FUNCTIONS[verb](field, self.text())
        if self.take("in"):
            self.want("(")
            values = [self.value(field, "in")]
            while self.take(","):
                values.append(self.value(field, "in"))
            self.want(")")
            return or_(*[field.is_not_distinct_from(value) for value in values])
        raise self.refusal(f"expected one of {', '.join((*COMPARE, 'in', *FUNCTIONS))}")

    def field(self) -> Field:
        token = self.now
        if token.kind != "word" or token.text.lower() in RESERVED:
            raise self.refusal("expected a field")
        if token.text not in self.fields:
            raise wrong("filter", f"character {token.at}: {token.text!r} is none of {_names(self.fields)}")
        self.place += 1
        return self.fields[token.text]

    def text(self) -> str:
        if self.now.kind != "text":
            raise self.refusal("expected a text in single quotes")
        found = _text(self.now)
        if not found:
            raise self.refusal("an empty text is in every other one")
        self.place += 1
        return found

    def value(self, field: Field, verb: str) -> Any:
        """A literal that fits its field; a bound parameter, or null."""
        token, kind = self.now, field.type
        if token.text.lower() == "null" and verb in ("eq", "ne", "in"):
            self.place += 1
            return None
        found: Any
        if isinstance(kind, Boolean):
            found = {"true": True, "false": False}.get(token.text.lower()) if token.kind == "word" else None
            wanted = "true or false"
        elif isinstance(kind, Moment):
            found = _moment(token)
            wanted = "a moment, as in 2026-01-05T09:00:00Z"
        elif isinstance(kind, Integer | Float):
            found = _number(token)
            wanted = "a number"
        else:
            found = _text(token) if token.kind == "text" else None
            wanted = "a text in single quotes"
        if found is None:
            raise self.refusal(f"expected {wanted}")
        self.place += 1
        return literal(found, kind if not isinstance(kind, Integer) else Float())

    # tokens

    def _tokens(self, filter: str) -> list[Token]:
        found: list[Token] = []
        at = 0
        while True:
            while at < len(filter) and filter[at] in " \t":
                at += 1
            if at == len(filter):
                return [*found, Token("end", "", at + 1)]
            match = TOKEN.match(filter, at)
            if match is None:
                raise wrong("filter", f"character {at + 1}: {filter[at : at + 10]!r} cannot be read")
            found.append(Token(str(match.lastgroup), match[0], at + 1))
            at = match.end()

    @property
    def now(self) -> Token:
        return self.tokens[self.place]

    def take(self, word: str) -> bool:
        if self.now.kind in ("word", "mark") and self.now.text.lower() == word:
            self.place += 1
            return True
        return False

    def want(self, mark: str) -> None:
        if not self.take(mark):
            raise self.refusal(f"expected {mark!r}")

    def refusal(self, why: str) -> Fault:
        token = self.now
        found = f"found {token.text!r}" if token.kind != "end" else "found the end"
        return wrong("filter", f"character {token.at}: {why}, {found}")


def _text(token: Token) -> str:
    return token.text[1:-1].replace("''", "'")


def _number(token: Token) -> float | None:
    found = float(token.text) if token.kind == "number" else math.inf
    return found if math.isfinite(found) else None


def _moment(token: Token) -> datetime | None:
    text = _text(token) if token.kind == "text" else token.text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None and 1970 <= found.year <= 9998 else None
