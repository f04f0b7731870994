"""The same stack (Starlette, msgspec, granian) answering from a dictionary: no fence, no database, no HAL."""

import asyncio
import signal
import sys
from typing import Any

import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CONTACT = {
    "id": "1",
    "name": "Ana Sol",
    "company": "Sol & Filhos",
    "title": "",
    "address": "",
    "website": "",
    "emails": [{"label": "work", "email": "ana@example.com", "number": "ana@example.com"}],
    "phones": [{"label": "mobile", "number": "+351910000000"}],
    "tags": [],
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-01-05T09:00:00Z",
    "deleted_at": None,
    "_links": {
        "self": {"href": "http://127.0.0.1:8000/contacts/01a20b5ff1b4417e769c7b89"},
        "integrations": {"href": "http://127.0.0.1:8000/contacts/01a20b5ff1b4417e769c7b89/integrations"},
        "custom_fields": {"href": "http://127.0.0.1:8000/contacts/01a20b5ff1b4417e769c7b89/custom-fields"},
    },
}
STORE: dict[str, Any] = {"1": {"contact": CONTACT}}
TOKEN = {"access_token": "x" * 700, "token_type": "Bearer", "expires_in": 600, "scope": "contacts:read"}


def answer(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


async def get_contact(request: Request) -> Response:
    return answer(STORE["1"] if request.path_params["id"] else None)


async def create_contact(request: Request) -> Response:
    body = msgspec.json.decode(await request.body())
    id = str(len(STORE) + 1)
    STORE[id] = {"contact": CONTACT | body | {"id": id}}
    return answer(STORE[id], 201)


async def token(request: Request) -> Response:
    await request.body()
    return answer(TOKEN)


app = Starlette(
    routes=[
        Route("/contacts/{id}", get_contact),
        Route("/contacts", create_contact, methods=["POST"]),
        Route("/oauth/token", token, methods=["POST"]),
    ]
)


async def main(port: int) -> None:
    server = Server(app, port=port, interface=Interfaces.ASGINL, log_enabled=False, websockets=False)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
