"""The Accounts API as the world sees it."""

from datetime import datetime
from typing import ClassVar

from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Shape

from . import domain

READ = Scope("account:read", "See your account: its name, company, e-mail address and time zone")


class Account(Shape):
    """An account; `name` is its sub-domain, `timezone` an IANA name."""

    id: str
    name: str
    company_name: str
    email: str
    timezone: str
    created_at: datetime
    links: ClassVar = {"self": {"href": "/account", "users": "/users"}, "users": "/users"}
    example: ClassVar = {
        "id": "5f0000000000000000000001",
        "name": "acme",
        "company_name": "Acme Contact Centre",
        "email": "owner@acme.example",
        "timezone": "Europe/Lisbon",
        "created_at": "2026-01-05T09:00:00Z",
    }


async def get_account(ctx: Ctx) -> Account:
    """Get the account

    The account that the access token belongs to.
    """
    row = await domain.get(ctx)
    return Account(
        id=row["id"],
        name=row["name"],
        company_name=row["company_name"],
        email=row["email"],
        timezone=row["timezone"],
        created_at=row["created_at"],
    )


API = Api(
    name="accounts",
    title="Accounts API",
    about="Information about an account.",
    scopes=(READ,),
    operations=(Operation("GET", "/account", READ, get_account, problems=(NOT_FOUND,)),),
)
