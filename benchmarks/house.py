"""A real server for the benchmarks: no rate limits, one account, one client with every scope, one contact."""

import json
import sys
from pathlib import Path

from ringfence.apis.all import APIS
from ringfence.apis.contacts.domain import create
from ringfence.fence.view import changed
from ringfence.kernel.settings import load
from ringfence.kernel.world import World
from ringfence.oauth import clients
from ringfence.oauth.opening import open_house
from ringfence.store.statement import adding
from ringfence.store.tables.identity import accounts
from ringfence.web.server import run, serve

ADD_ACCOUNT = adding(accounts, everywhere=True)
EMPTY = {"company": "", "title": "", "address": "", "website": "", "tags": [], "integrations": []}


async def main(port: int, database: str, ready_file: Path) -> None:
    house = await open_house(load(database=database, port=port, rate_limit=0, token_rate_limit=0), World(), APIS)
    async with house.db.writing() as tx:
        ctx = house.ctx(tx, house.world.new_id(24), "benchmark")
        await tx.run(
            ADD_ACCOUNT,
            id=ctx.account,
            name=f"b{ctx.account}",
            company_name="Benchmark",
            email="b@example.com",
            timezone="UTC",
            created_at=ctx.now(),
        )
        await changed(ctx, "account", ctx.account)
        client = await clients.create(
            ctx,
            name="benchmark",
            grant_types=["client_credentials"],
            redirect_uris=[],
            scopes=["contacts:read", "contacts:write"],
        )
        contact = await create(
            ctx,
            EMPTY
            | {
                "name": "Ana Sol",
                "emails": [{"label": "work", "email": "ana@example.com"}],
                "phones": [{"label": "mobile", "number": "+351910000000"}],
            },
        )
    said = {"client": client.row["id"], "secret": client.secret, "contact": contact["id"], "account": ctx.account}
    await serve(house, APIS, host="127.0.0.1", port=port, ready=lambda: write(ready_file, said))


def write(path: Path, said: dict[str, str]) -> None:
    path.write_text(json.dumps(said))


if __name__ == "__main__":
    run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
