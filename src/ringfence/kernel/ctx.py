"""What a domain function is given: who asks, in which transaction, at what time."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import Settings
    from .world import World


@dataclass(slots=True)
class Ctx:
    """First argument of every domain function. `db` is one transaction that nobody below the runner commits.

    `house` holds the running parts (view of the grants, vault, keys), which only `fence`, `oauth` and above look into.
    """

    account: str  # every query is cut to it; empty where nobody is known yet
    actor: str  # `client:…`, `user:…`, `cli:…`, `job:…`
    db: Any
    world: "World"
    settings: "Settings"
    house: Any = None
    caller: Any = None  # the Principal behind a request
    origin: str = ""  # address of the peer, or `cli`

    def now(self) -> datetime:
        return self.world.now()

    def new_id(self) -> str:
        """24 hex characters: accounts, users, contacts."""
        return self.world.new_id(24)

    def new_uuid(self) -> str:
        """A UUID: attributes, lists, records, uploads."""
        return self.world.new_uuid()

    def new_key(self) -> str:
        """32 hex characters: clients, events, keys, jobs."""
        return self.world.new_id(32)
