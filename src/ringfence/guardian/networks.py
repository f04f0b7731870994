"""Where addresses are: in networks that an account has declared. Of others nothing is known, and nothing guessed."""

import math
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete

from ringfence.kernel.ctx import Ctx
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, mine
from ringfence.store.tables.guardian import networks

UNKNOWN = "unknown"
EARTH = 6371.0  # kilometres, mean radius

ALL = Statement(mine(networks).order_by(networks.c.cidr))
ADD = adding(networks)
DROP = Statement(delete(networks).where(networks.c.account_id == ACCOUNT, networks.c.cidr == bindparam("network")))


class Place(NamedTuple):
    country: str
    latitude: float
    longitude: float


class Map:
    """The declared networks of an account; an address is where the narrowest network that holds it is."""

    def __init__(self, rows: list[Row]) -> None:
        made = [(ip_network(row["cidr"]), Place(row["country"], row["latitude"], row["longitude"])) for row in rows]
        self._known = sorted(made, key=lambda one: -one[0].prefixlen)

    def place(self, address: str) -> Place | None:
        try:
            wanted: Any = ip_address(address)
        except ValueError:
            return None
        if (plain := getattr(wanted, "ipv4_mapped", None)) is not None:
            wanted = plain
        return next((place for network, place in self._known if wanted in network), None)


def kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The way between two places (degrees of latitude and longitude) along a great circle: the haversine formula."""
    (a, b), (c, d) = (tuple(map(math.radians, place)) for place in (one, other))
    h = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * EARTH * math.asin(min(1.0, math.sqrt(h)))


async def declared(ctx: Ctx) -> list[Row]:
    return await all_rows(ctx, ALL)


async def set_network(ctx: Ctx, *, cidr: str, country: str, latitude: float, longitude: float) -> None:
    """Say where a network is, or say it anew."""
    await change(ctx, DROP, network=cidr)
    await ctx.db.run(ADD, account_id=ctx.account, cidr=cidr, country=country, latitude=latitude, longitude=longitude)


async def drop_network(ctx: Ctx, *, cidr: str) -> None:
    await change(ctx, DROP, network=cidr)
