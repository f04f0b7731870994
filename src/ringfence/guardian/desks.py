"""What the floor tells Guardian: shifts, how calls sounded, and signs of how agents treat them."""

from typing import Any

from ringfence.floor.live import AVAILABLE, AWAY, OFFLINE
from ringfence.store.query import Row

from . import rules
from .emodel import CODECS, scores
from .logins import came_in, came_with, moment_of
from .memory import FEW
from .networks import UNKNOWN
from .scene import Scene

SHORT_TALK = 10.0  # seconds
MOMENT = 30.0  # seconds for which somebody is available only for a moment
CROWD = 3  # contacts that wait
SOFTPHONE = "Softphone"


def status_changed(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    user, before, after = data["user_id"], data["previous_status"], data["status"]
    who, off = scene.subject(user, at, "person"), data.get("time_off")
    if off == "absent":
        return  # a time off began or is over: nobody came or went
    if after != OFFLINE and (before == OFFLINE or (off and who.shift is None)):
        who.shift = event["id"]
        nowhere: dict[str, Any] = dict.fromkeys(("logout_at", "expires_at", "address", "latitude", "longitude", "os"))
        scene.write(
            "session", id=event["id"], user_id=user, login_at=event["at"], country=UNKNOWN, browser=SOFTPHONE,
            sso=False, support_access=False, **nowhere,
        )  # fmt: skip
        came_in(scene, event, user, who, at)
    elif not off:
        scene.seen(user, at, "person")
    if after == OFFLINE and who.shift is not None:
        scene.write("left", session=who.shift, at=event["at"])
        who.shift = None
    if off:
        return
    scene.chance(user, at, rules.STATUSES)
    if not after.startswith(AWAY):
        return
    scene.chance(user, at, rules.AWAYS)
    rang = who.rings is not None or (who.rang is not None and at - who.rang < 1.0)
    if before != AVAILABLE or rang:
        return
    if (event["at"] - moment_of(data["previous_since"])).total_seconds() <= MOMENT:
        scene.hit(rules.STATUS_FLIPS, user, event)
    if len(scene.subject("account", at, "account").waiting) >= CROWD:
        scene.hit(rules.AWAY_WHILE_WAITING, user, event)


def phone_connected(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    """The shift that has just begun has a device and an address."""
    who = scene.subject(data["user_id"], at, "person")
    if who.shift is not None:
        device, _ = came_with(scene, data)
        scene.write("device", session=who.shift, **{f"new_{name}": value for name, value in device.items()})


def queued(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    waiting = scene.subject("account", at, "account").waiting
    waiting[data["leg_id"]] = at
    while len(waiting) > FEW:
        del waiting[next(iter(waiting))]


def answered(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    scene.subject("account", at, "account").waiting.pop(data["leg_id"], None)


def ringing(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    scene.subject(data["user_id"], at, "person").rings = at


def ring_finished(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    attempt = data["attempt"]
    user = attempt["user_id"]
    who = scene.subject(user, at, "person")
    who.rings, who.rang = None, at
    scene.chance(user, at, rules.RINGS)
    if attempt["result"] in ("Rejected", "Ignored"):
        scene.hit(rules.REFUSED_CALLS, user, event)


def held(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    if data["user_id"]:
        who = scene.subject(data["user_id"], at, "person")
        who.held = {leg: since for leg, since in who.held.items() if since > at - 86400}
        who.held[data["leg_id"]] = at


def resumed(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    if data["user_id"]:
        scene.subject(data["user_id"], at, "person").held.pop(data["leg_id"], None)


def contact_finished(scene: Scene, event: Row, data: dict[str, Any], at: float) -> None:
    scene.subject("account", at, "account").waiting.pop(data["leg_id"], None)
    user = data["user_id"]
    if data["answered_at"] is None:
        return
    if (measured := data.get("quality")) is not None:
        _heard(scene, event, data, measured)
    if user is None:
        return
    who = scene.subject(user, at, "person")
    on_hold = who.held.pop(data["leg_id"], None) is not None
    who.rings = None
    scene.chance(user, at, rules.ANSWERED)
    if data["ended_by"] != "agent" or data["transfer_out"]:
        return
    if on_hold:
        scene.hit(rules.HOLD_AND_HANG_UP, user, event)
    elif (moment_of(data["finished_at"]) - moment_of(data["answered_at"])).total_seconds() <= SHORT_TALK:
        scene.hit(rules.SHORT_TALKS, user, event)


def _heard(scene: Scene, event: Row, data: dict[str, Any], measured: dict[str, Any]) -> None:
    loss = measured["packets_loss_percentage"]
    heard = scores(
        jitter=measured["jitter_avg"],
        jitter_max=measured["jitter_max"],
        rtt=measured["rtt_avg"],
        rtt_min=measured["rtt_min"],
        rtt_max=measured["rtt_max"],
        loss=loss,
        codec=CODECS[scene.settings.guardian_codec],
    )
    scene.write(
        "heard",
        id=data["leg_id"],
        call_id=data["call_id"],
        interaction_id=data["interaction_id"],
        user_id=data["user_id"],
        at=event["at"],
        mos_avg=heard.avg,
        mos_max=heard.max,
        mos_min=heard.min,
        loss=loss,
        **{name: measured[name] for name in ("jitter_avg", "jitter_max", "rtt_avg", "rtt_max", "rtt_min")},
    )
