"""Lists of sessions, of calls as they sounded, and of cases."""

from typing import Any

from sqlalchemy import Double, and_, bindparam, case, null, select

from ringfence.kernel.ctx import Ctx
from ringfence.store.columns import Moment
from ringfence.store.query import ACCOUNT
from ringfence.store.tables.guardian import call_quality, cases, sessions

from .lists import Found, Wanted, listed
from .people import month

NOW = bindparam("now", type_=Moment)
# a session that nobody ended is over when it expires
LOGOUT = case(
    (sessions.c.logout_at.is_not(None), sessions.c.logout_at),
    (and_(sessions.c.expires_at.is_not(None), sessions.c.expires_at <= NOW), sessions.c.expires_at),
    else_=null(),
)
SESSION_FIELDS: dict[str, Any] = {
    "id": sessions.c.id,
    "user_id": sessions.c.user_id,
    "login_timestamp": sessions.c.login_at,
    "logout_timestamp": LOGOUT,
    "country": sessions.c.country,
    "ip_address": sessions.c.address,
    "latitude": sessions.c.latitude,
    "longitude": sessions.c.longitude,
    "browser_full": sessions.c.browser,
    "os_full": sessions.c.os,
    "sso": sessions.c.sso,
    "support_access": sessions.c.support_access,
}
QUALITY_FIELDS: dict[str, Any] = {
    "call_id": call_quality.c.call_id,
    "interaction_id": call_quality.c.interaction_id,
    "user_id": call_quality.c.user_id,
    "timestamp": call_quality.c.at,
    "affected_call": call_quality.c.mos_avg < bindparam("affected", type_=Double),
    "jitter.avg": call_quality.c.jitter_avg,
    "jitter.max": call_quality.c.jitter_max,
    "mos.avg": call_quality.c.mos_avg,
    "mos.max": call_quality.c.mos_max,
    "mos.min": call_quality.c.mos_min,
    "rtt.avg": call_quality.c.rtt_avg,
    "rtt.max": call_quality.c.rtt_max,
    "rtt.min": call_quality.c.rtt_min,
    "packets_loss_percentage": call_quality.c.loss,
}
CASE_FIELDS: dict[str, Any] = {
    "id": cases.c.id,
    "case": cases.c.rule,
    "event_id": cases.c.event_id,
    "user_id": cases.c.user_id,
    "specification": cases.c.specification,
    "hits_number": cases.c.hits_number,
    "baseline": cases.c.baseline,
    "user_conf": cases.c.user_conf,
    "user_prob": cases.c.user_prob,
    "pop_conf": cases.c.pop_conf,
    "pop_prob": cases.c.pop_prob,
    "ingest_timestamp": cases.c.detected_at,
}
DOCUMENTS = (cases.c.hits, cases.c.user_baseline, cases.c.pop_baseline)


def _shown(fields: dict[str, Any], *more: Any) -> Any:
    return select(*(column.label(name) for name, column in fields.items()), *more)


SESSIONS = _shown(SESSION_FIELDS).where(sessions.c.account_id == ACCOUNT)
CALLS = _shown(QUALITY_FIELDS).where(
    call_quality.c.account_id == ACCOUNT, call_quality.c.at >= bindparam("since", type_=Moment)
)
CASES = _shown(CASE_FIELDS, *DOCUMENTS).where(cases.c.account_id == ACCOUNT)


async def all_sessions(ctx: Ctx, wanted: Wanted) -> Found:
    """Logins to pages and shifts on the floor, the latest first."""
    usual = (sessions.c.login_at.desc(), sessions.c.id.desc())
    return await listed(ctx, SESSIONS, SESSION_FIELDS, wanted, usual=usual, filtered=True, now=ctx.now())


async def calls_heard(ctx: Ctx, wanted: Wanted) -> Found:
    """Contacts that were answered within the previous 30 days, and how they sounded, the latest first."""
    usual = (call_quality.c.at.desc(), call_quality.c.id.desc())
    given = {"since": month(ctx), "affected": ctx.settings.guardian_affected_mos}
    return await listed(ctx, CALLS, QUALITY_FIELDS, wanted, usual=usual, **given)


async def all_cases(ctx: Ctx, wanted: Wanted) -> Found:
    """What was detected, the latest first."""
    usual = (cases.c.detected_at.desc(), cases.c.id.desc())
    return await listed(ctx, CASES, CASE_FIELDS, wanted, usual=usual)


def source(ctx: Ctx) -> str:
    """What the contract calls where a case comes from."""
    return "ELASTICSEARCH" if ctx.settings.strict_contract else "EVENT_LOG"
