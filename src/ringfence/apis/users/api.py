"""The Users API as the world sees it."""

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Page, PageQuery, Shape
from ringfence.store.query import Row

from . import domain

READ = Scope("users:read", "See the people of your account and how to reach them")
LINKS = {
    "show": {"href": "/users/{id}", "templated": True},
    "index": {"href": "/users{?page,per_page,active,email}", "templated": True},
}


class User(Shape):
    """A person of the account."""

    id: str
    email: str
    name: str
    active: bool
    gender: str | None
    extension: int | None
    external_phone_number: str | None
    created_at: datetime
    links: ClassVar = {"self": "/users/{id}"}
    example: ClassVar = {
        "id": "5f0000000000000000000001",
        "email": "ana@acme.example",
        "name": "Ana Sol",
        "active": True,
        "gender": "female",
        "extension": 101,
        "external_phone_number": "+351210000001",
        "created_at": "2026-01-05T09:00:00Z",
    }


class UserQuery(PageQuery):
    """`email` is matched exactly, case aside."""

    active: bool | None = None
    email: Annotated[str, msgspec.Meta(max_length=254)] | None = None


def shown(row: Row) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        active=row["active"],
        gender=row["gender"],
        extension=row["extension"],
        external_phone_number=row["external_phone_number"],
        created_at=row["created_at"],
    )


async def list_users(ctx: Ctx, query: UserQuery) -> Page[User]:
    """List the people of the account

    By time of creation. Inactive people are listed too, unless `active` is given.
    """
    found = await domain.search(ctx, active=query.active, email=query.email, page=query.page, per_page=query.per_page)
    return msgspec.structs.replace(found.map(shown), extra_links=LINKS)


async def get_user(ctx: Ctx, user_id: str) -> User:
    """Get one person"""
    return shown(await domain.get(ctx, user_id))


API = Api(
    name="users",
    title="Users API",
    about="Information about the people of an account.",
    scopes=(READ,),
    operations=(
        Operation("GET", "/users", READ, list_users),
        Operation("GET", "/users/{user_id}", READ, get_user, problems=(NOT_FOUND,)),
    ),
)
