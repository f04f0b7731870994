"""The Users API as the world sees it."""

from typing import Annotated

import msgspec

from ringfence.floor.users import User, shown
from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Page, PageQuery

from . import domain

READ = Scope("users:read", "See the people of your account and how to reach them")
LINKS = {
    "show": {"href": "/users/{id}", "templated": True},
    "index": {"href": "/users{?page,per_page,active,email}", "templated": True},
}


class UserQuery(PageQuery):
    """`email` is matched exactly, case aside."""

    active: bool | None = None
    email: Annotated[str, msgspec.Meta(max_length=254)] | None = None


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
