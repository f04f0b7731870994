"""The running parts of one process, handed along by hand: no globals, no container that builds things."""

from dataclasses import dataclass, field
from time import time
from typing import Any

from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import UNAVAILABLE, Fault
from ringfence.kernel.settings import Settings
from ringfence.kernel.world import World
from ringfence.store.blobs import Blobs
from ringfence.store.db import Db, Transaction
from ringfence.store.secrets import Vault

from .gate import Gate, Principal
from .limits import Limiter
from .usage import Usage
from .view import View


@dataclass(slots=True)
class House:
    """What a running process consists of, below the web. `keys` is the key ring of `oauth`."""

    settings: Settings
    world: World
    db: Db
    vault: Vault
    view: View
    usage: Usage
    blobs: Blobs
    keys: Any = None
    gate: Gate | None = None
    token_limiter: Limiter = field(default_factory=lambda: Limiter(0, time))
    flow_limiter: Limiter = field(default_factory=lambda: Limiter(0, time))
    scopes: dict[str, Any] = field(default_factory=dict)  # every Scope of the catalogue, by name
    events: dict[str, Any] = field(default_factory=dict)  # every EventType, by name
    fetches: dict[str, Any] = field(default_factory=dict)  # tasks that bring the audio of recordings here, by id
    live: Any = None  # what feeds the open streams of live figures, once there has been one
    identity_base: str = ""
    gateway_base: str = ""

    def ctx(self, tx: Transaction | None, account: str, actor: str, origin: str = "") -> Ctx:
        return Ctx(account, actor, tx, self.world, self.settings, self, None, origin)

    def request_ctx(self, tx: Transaction, who: Principal, origin: str) -> Ctx:
        return Ctx(who.account, who.actor, tx, self.world, self.settings, self, who, origin)

    def issuer(self, account: str) -> str:
        """The `iss` of an account: the identity base, whose `{account}` stands for the account's name."""
        return self.identity_base.replace("{account}", self.view.accounts.get(account, ""))

    async def view_confirmed(self) -> None:
        """Make sure that the view is recent enough to decide on, where this process serves."""
        if self.gate is not None:
            await self.gate.confirm()
        elif self.view.behind:
            await self.view.refresh()

    async def identify(self, token: str) -> Principal:
        """Who a token stands for. Raises a Fault."""
        if self.gate is None:
            raise Fault(UNAVAILABLE)
        return await self.gate.identify(token)
