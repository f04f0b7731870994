"""The trial of an app: thirty days, which can be extended, until it ends for one reason or another."""

from datetime import datetime, timedelta
from typing import Any, Literal

from ringfence.kernel.catalog import Job
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import CONFLICT, Fault, wrong
from ringfence.kernel.shapes import Shape
from ringfence.store.outbox import emit
from ringfence.store.query import Row, find
from ringfence.store.work import enqueue

from . import installations
from .events import TRIAL_ENDED, TRIAL_EXTENDED, TRIAL_STARTED, OnTrial, TrialEnded

DAYS = 30
MOST_DAYS = 365
Ending = Literal["trial_expired", "app_uninstalled", "plan_upgraded"]


class Trying(Shape):
    """Arguments of the job that ends a trial."""

    installation: str


def times(trial: dict[str, Any]) -> dict[str, datetime]:
    """The moments of a trial, which is kept as a document."""
    return {
        name: datetime.fromisoformat(trial[name]) for name in ("started_at", "expires_at", "ended_at") if trial[name]
    }


async def _said(ctx: Ctx, row: Row, expires: datetime) -> dict[str, Any]:
    said = await installations.common(ctx, row)
    del said["app_version_name"], said["account_name"]
    return said | {"expires_at": expires}


async def start(ctx: Ctx, row: Row, days: int = DAYS) -> Row:
    """Begin the trial of an installation, once."""
    if row["trial"] is not None:
        raise Fault(CONFLICT, "The installation has had its trial.")
    now = ctx.now()
    expires = now + timedelta(days=_days(days))
    trial = {
        "state": "active",
        "started_at": now.isoformat(),
        "expires_at": expires.isoformat(),
        "ended_at": None,
        "ended_reason": None,
        "subscription_name": (row["subscription"] or {}).get("name", ""),
    }
    await emit(ctx, TRIAL_STARTED, row["id"], OnTrial(**await _said(ctx, row, expires)))
    await enqueue(ctx, END_TRIAL, Trying(installation=row["id"]), due=expires)
    return await installations.save(ctx, row, trial=trial)


def _days(days: int) -> int:
    if not 1 <= days <= MOST_DAYS:
        raise wrong("days", f"must be 1 to {MOST_DAYS}")
    return days


def _active(row: Row) -> dict[str, Any]:
    trial: dict[str, Any] | None = row["trial"]
    if trial is None or trial["state"] != "active":
        raise Fault(CONFLICT, "The installation is not on trial.")
    return trial


async def extend(ctx: Ctx, row: Row, days: int) -> Row:
    """Let a trial go on for some more days."""
    trial = _active(row)
    expires = times(trial)["expires_at"] + timedelta(days=_days(days))
    await emit(ctx, TRIAL_EXTENDED, row["id"], OnTrial(**await _said(ctx, row, expires)))
    await enqueue(ctx, END_TRIAL, Trying(installation=row["id"]), due=expires)
    return await installations.save(ctx, row, trial=trial | {"expires_at": expires.isoformat()})


async def end(ctx: Ctx, row: Row, why: Ending, by: Literal["system", "user"]) -> Row:
    trial, now = _active(row), ctx.now()
    said = await _said(ctx, row, times(trial)["expires_at"])
    await emit(ctx, TRIAL_ENDED, row["id"], TrialEnded(**said, ended_at=now, ended_reason=why, ended_by=by))
    ended = {"state": "ended", "ended_at": now.isoformat(), "ended_reason": why}
    return await installations.save(ctx, row, trial=trial | ended)


async def expire(ctx: Ctx, args: Trying) -> None:
    """The days of a trial are over, unless it was extended."""
    row = await find(ctx, installations.HELD, installation=args.installation)
    if row is None or (row["trial"] or {}).get("state") != "active":
        return
    if times(row["trial"])["expires_at"] <= ctx.now():
        await end(ctx, row, "trial_expired", "system")


END_TRIAL = Job("apps.end_trial", Trying, expire)
