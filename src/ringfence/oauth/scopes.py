"""What a client gets of what it asks for: exact names, effective grants, the grant that carries them."""

from datetime import UTC, datetime
from math import ceil

from ringfence.fence.house import House
from ringfence.fence.view import ClientView, Person
from ringfence.kernel.catalog import Via
from ringfence.kernel.problems import Fault

from .problems import INVALID_SCOPE, PENDING_SCOPE

SILENT = frozenset({"refresh_token"})  # taken as a scope by real clients, and meaning nothing


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def words(text: str | None) -> list[str]:
    """RFC 6749 section 3.3; the words in order, each once."""
    if not text:
        return []
    if any(not ("!" <= c <= "~" or c == " ") or c in '"\\' for c in text):
        raise Fault(INVALID_SCOPE, "scope holds characters that no scope has.")
    return [word for word in dict.fromkeys(text.split(" ")) if word and word not in SILENT]


def refuse_pending(pending: dict[str, float], now: float) -> Fault:
    """401: the scopes are granted, and effective soon. Says which, when, and how long to wait."""
    told = [{"scope": scope, "effective_at": moment(at)} for scope, at in sorted(pending.items())]
    soonest = max(pending.values())
    sentence = f"{', '.join(sorted(pending))} is granted but not effective before {moment(soonest)}"
    wait = str(max(1, ceil(soonest - now)))
    return Fault(PENDING_SCOPE, sentence, headers=(("Retry-After", wait),), pending=told)


def granted(house: House, client: ClientView, asked: str | None, via: Via) -> frozenset[str]:
    """All that is effective when the client names nothing, else exactly what it named."""
    now = house.world.time()
    may = {scope for scope in client.effective(now) if scope in house.scopes and via in house.scopes[scope].via}
    pending = {scope: at for scope, at in client.pending(now).items() if via in house.scopes[scope].via}
    wanted = words(asked)
    if not wanted:
        if not may and pending:
            raise refuse_pending(pending, now)
        return frozenset(may)
    if waiting := {scope: pending[scope] for scope in wanted if scope in pending}:
        raise refuse_pending(waiting, now)
    if strange := [scope for scope in wanted if scope not in may]:
        raise Fault(INVALID_SCOPE, f"The client does not hold {', '.join(strange)}.")
    return frozenset(wanted)


def for_person(house: House, scopes: frozenset[str], person: Person) -> frozenset[str]:
    """The part of it that the person's roles allow."""
    return scopes & house.view.allowed(person)
