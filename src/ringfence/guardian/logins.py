"""What logins mean to Guardian: sessions, and signs of who is where, when and how often in vain."""

from datetime import datetime
from typing import Any

from ringfence.store.query import Row

from . import agents, rules
from .memory import HOUR, Seen, Subject
from .networks import UNKNOWN, Place, kilometres
from .scene import Scene

NEAR = 100.0  # kilometres within which nobody has travelled


def moment_of(text: str) -> datetime:
    """A moment of an event's payload."""
    return datetime.fromisoformat(text)


def person(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    """Somebody was added, or their roles were changed."""
    who = scene.subject(event["key"], at, "person")
    roles = sorted(set(data.get("roles") or ()))
    for role in set(roles) - set(who.roles):
        scene.write(
            "assigned", user_id=event["key"], role=role, id=event["id"], assigned_at=event["at"],
            assigned_by=event["actor"],
        )  # fmt: skip
    for role in set(who.roles) - set(roles):
        scene.write("unassigned", user=event["key"], role=role)
    who.roles = roles


def came_with(scene: Scene, data: dict[str, Any]) -> tuple[dict[str, Any], Place | None]:
    """What a session's row says of address and device, and where that address is."""
    address, header = data.get("address") or None, data.get("user_agent") or ""
    place = scene.map.place(address) if address else None
    row = {
        "country": place.country if place else UNKNOWN,
        "address": address,
        "latitude": place.latitude if place else None,
        "longitude": place.longitude if place else None,
        "browser": agents.browser(header),
        "os": agents.system(header),
    }
    return row, place


def logged_in(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    device, place = came_with(scene, data)
    user = data["user_id"]
    scene.write(
        "session",
        id=data["sid"],
        user_id=user,
        login_at=event["at"],
        logout_at=None,
        expires_at=moment_of(data["expires_at"]) if data.get("expires_at") else None,
        **device,
        sso=bool(data.get("sso")),
        support_access=bool(data.get("support_access")),
    )
    who = scene.subject(user, at, "person")
    if place is not None:
        _travelled(scene, event, who, Seen(at, *place))
        who.place = Seen(at, *place)
    came_in(scene, event, user, who, at)


def _travelled(scene: Scene, event: Row, who: Subject, here: Seen) -> None:
    there = who.place
    if there is None:
        return
    far = kilometres((there.latitude, there.longitude), (here.latitude, here.longitude))
    hours = max((here.at - there.at) / HOUR, 1 / 3600)
    if far > NEAR and far / hours > scene.settings.guardian_travel_speed:
        told = (
            f"{far:.0f} km from {there.country} to {here.country} in {hours * 60:.0f} minutes, which is"
            f" {far / hours:.0f} km/h and more than {scene.settings.guardian_travel_speed}"
        )
        scene.hit(rules.IMPOSSIBLE_TRAVEL, event["data"]["user_id"], event, told)


def came_in(scene: Scene, event: Row, user: str, who: Subject, at: float) -> None:
    """A person came to be here: the first time, at a usual hour, or at none of theirs."""
    if who.first is None:
        who.first = at
    known, near = scene.settings.guardian_known_days, min(scene.settings.guardian_unusual_hours, 11)
    hour = int(at // HOUR) % 24
    about = {(hour + step) % 24 for step in range(-near, near + 1)}
    if len(who.past) >= known and not who.hours:
        there = sum(1 for one in who.past if any(one.hours >> h & 1 for h in about))
        if there == 0:
            told = f"about {hour:02}:00 UTC, on none of {len(who.past)} days with activity"
            scene.hit(rules.UNUSUAL_HOURS, user, event, told)
    scene.seen(user, at, "person")


def session_ended(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    scene.write("left", session=data["sid"], at=event["at"])


def login_failed(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    scene.subject(data["user_id"], at, "person")
    scene.hit(rules.FAILED_LOGINS, data["user_id"], event)
