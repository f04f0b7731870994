"""A person of the account as APIs show one."""

from datetime import datetime
from typing import ClassVar

from ringfence.kernel.shapes import Shape
from ringfence.store.query import Row


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
