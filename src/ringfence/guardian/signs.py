"""What each kind of event means to Guardian: activity, chances, signs of the rules, and rows of its lists."""

from collections.abc import Callable, Iterable
from typing import Any

from ringfence.store.query import Row

from . import desks, logins, rules
from .logins import moment_of
from .memory import MANY, Hit
from .scene import Scene

ACTORS = ("user", "client", "cli")
HUNDRED = 100
Hearing = Callable[[Scene, Row, dict[str, Any], float], None]


def actor(event: Row) -> tuple[str, str]:
    """Who did it, as a subject: (id, kind). Empty for the platform itself."""
    kind, _, id = event["actor"].partition(":")
    if kind not in ACTORS or not id:
        return "", ""
    return (event["actor"], "actor") if kind == "cli" else (id, "person" if kind == "user" else "actor")


def concerned(event: Row) -> Iterable[str]:
    """Everybody whom an event may be about."""
    data = event["data"]
    for id in (data.get("user_id"), actor(event)[0], data.get("client_id")):
        if id:
            yield id
    if event["type"].startswith(("user.", "client.")):
        yield event["key"]
    if (attempt := data.get("attempt")) is not None:
        yield attempt["user_id"]
    for use in data.get("uses", ()):
        yield use["client_id"]


# what people and clients take, change and publish


def report_requested(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    id, kind = actor(event)
    if id:
        who = scene.seen(id, at, kind)
        scene.hit(rules.MASS_EXPORT, id, event)
        soon = scene.settings.guardian_scope_use
        fresh = [(scope, one) for scope, one in who.scopes.items() if 0 <= at - one.at <= soon]
        if fresh:
            scope, added = fresh[-1]
            told = f"{scope} was added {(at - added.at) / 60:.1f} minutes before it asked for a report ({data['type']})"
            scene.hit(rules.SCOPE_THEN_EXPORT, id, event, told)


def contact_touched(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    id, kind = actor(event)
    if id:
        scene.seen(id, at, kind)
        scene.hit(rules.MASS_CONTACT_CHANGES, id, event)


def requests_made(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    """What each process counted since the last time; those for contacts make a sign at each full hundred."""
    for use in data["uses"]:
        if use["scope"] == "contacts:read":
            client = scene.seen(use["client_id"], at, "actor")
            hundreds, client.reads = divmod(client.reads + use["count"], HUNDRED)
            for _ in range(min(hundreds, MANY)):
                scene.hit(rules.MASS_CONTACT_READS, use["client_id"], event)


def recording_fetched(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    id, kind = actor(event)
    if id:
        scene.seen(id, at, kind)
        scene.hit(rules.RECORDINGS_ACCESSED, id, event)


def client_made(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    scene.subject(event["key"], at).made = at


def scope_added(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    """What a client was made with is no sign of anything."""
    client = scene.subject(data["client_id"], at)
    if data["scope"].startswith("data-reports:") and client.made != at:
        client.scopes[data["scope"]] = Hit(max(at, moment_of(data["effective_at"]).timestamp()), event["id"])


def flow_published(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    id, kind = actor(event)
    if not id:
        return
    scene.seen(id, at, kind)
    local = event["at"].astimezone(scene.zone)
    begins, _, ends = scene.settings.guardian_day.partition("-")
    if local.weekday() < 5 and begins <= f"{local:%H:%M}" < ends:
        return
    told = f"{data['name'][:100]!r} on {local:%A} at {local:%H:%M}, outside of {begins} to {ends} from Monday to Friday"
    scene.hit(rules.AFTER_HOURS_PUBLISHING, id, event, told)


HEARD: dict[str, Hearing] = {
    "user.created": logins.person,
    "user.changed": logins.person,
    "user.logged_in": logins.logged_in,
    "user.session_ended": logins.session_ended,
    "user.login_failed": logins.login_failed,
    "agent.status_changed": desks.status_changed,
    "softphone.connected": desks.phone_connected,
    "call.queued": desks.queued,
    "call.answered": desks.answered,
    "call.ringing": desks.ringing,
    "call.ring_attempt_finished": desks.ring_finished,
    "call.held": desks.held,
    "call.resumed": desks.resumed,
    "call.contact_finished": desks.contact_finished,
    "report.requested": report_requested,
    "contact.changed": contact_touched,
    "contact.deleted": contact_touched,
    "contact.erased": contact_touched,
    "contact.field_set": contact_touched,
    "contact.field_removed": contact_touched,
    "contact.note_created": contact_touched,
    "contact.note_deleted": contact_touched,
    "usage.flushed": requests_made,
    "recording.media_requested": recording_fetched,
    "client.created": client_made,
    "client.scope_added": scope_added,
    "flow.published": flow_published,
}
