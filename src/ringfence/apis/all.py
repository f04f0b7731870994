"""The list. An API exists when it is in here."""

from ringfence.fence.activity import ACTIVITY
from ringfence.fence.grants import FENCE
from ringfence.fence.usage import USAGE
from ringfence.floor.directory import FLOOR
from ringfence.floor.keeper import LIVE_FLOOR
from ringfence.floor.time_off import TIME_OFF as TIME_OFF_FLOOR
from ringfence.floor.uploads import UPLOADS
from ringfence.guardian.watch import GUARDIAN
from ringfence.metering.keeping import METERED
from ringfence.oauth.api import API as OAUTH
from ringfence.reports.facts import FACTS_KEPT
from ringfence.web.idempotency import IDEMPOTENCY

from .accounts.api import API as ACCOUNTS
from .apps.api import API as APPS
from .attributes.api import API as ATTRIBUTES
from .callback.api import API as CALLBACK
from .contacts.api import API as CONTACTS
from .do_not_call_lists.api import API as DO_NOT_CALL_LISTS
from .events.api import API as EVENTS
from .events.triggers import API as WEBHOOK_TRIGGERS
from .explore.api import API as EXPLORE
from .flows.api import API as FLOWS
from .guardian.api import CALL_QUALITY, CASES, SESSIONS
from .guardian.api import USERS as GUARDIAN_USERS
from .live.api import API as LIVE
from .phone_validation.api import API as PHONE_VALIDATION
from .record_lists.api import API as RECORD_LISTS
from .recordings.api import API as RECORDINGS
from .reporting.api import API as REPORTING
from .ring_groups.api import API as RING_GROUPS
from .time_off.api import API as TIME_OFF
from .usage_manage.api import API as USAGE_MANAGE
from .users.api import API as USERS
from .voice_biometrics.api import OPT_IN as VOICE_OPT_IN
from .voice_biometrics.api import OPT_OUT as VOICE_OPT_OUT

APIS = (
    FENCE,
    USAGE,
    ACTIVITY,
    FLOOR,
    LIVE_FLOOR,
    TIME_OFF_FLOOR,
    FACTS_KEPT,
    METERED,
    GUARDIAN,
    IDEMPOTENCY,
    OAUTH,
    ACCOUNTS,
    USERS,
    APPS,
    EVENTS,
    WEBHOOK_TRIGGERS,
    CONTACTS,
    CALLBACK,
    FLOWS,
    RECORDINGS,
    EXPLORE,
    REPORTING,
    ATTRIBUTES,
    RING_GROUPS,
    UPLOADS,
    RECORD_LISTS,
    DO_NOT_CALL_LISTS,
    PHONE_VALIDATION,
    LIVE,
    CASES,
    SESSIONS,
    GUARDIAN_USERS,
    CALL_QUALITY,
    TIME_OFF,
    VOICE_OPT_IN,
    VOICE_OPT_OUT,
    USAGE_MANAGE,
)
