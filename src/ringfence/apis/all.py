"""The list. An API exists when it is in here."""

from ringfence.fence.activity import ACTIVITY
from ringfence.fence.grants import FENCE
from ringfence.floor.directory import FLOOR
from ringfence.floor.keeper import LIVE_FLOOR
from ringfence.floor.uploads import UPLOADS
from ringfence.oauth.api import API as OAUTH
from ringfence.web.idempotency import IDEMPOTENCY

from .accounts.api import API as ACCOUNTS
from .apps.api import API as APPS
from .attributes.api import API as ATTRIBUTES
from .callback.api import API as CALLBACK
from .contacts.api import API as CONTACTS
from .do_not_call_lists.api import API as DO_NOT_CALL_LISTS
from .events.api import API as EVENTS
from .events.triggers import API as WEBHOOK_TRIGGERS
from .flows.api import API as FLOWS
from .phone_validation.api import API as PHONE_VALIDATION
from .record_lists.api import API as RECORD_LISTS
from .recordings.api import API as RECORDINGS
from .ring_groups.api import API as RING_GROUPS
from .users.api import API as USERS

APIS = (
    FENCE,
    ACTIVITY,
    FLOOR,
    LIVE_FLOOR,
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
    ATTRIBUTES,
    RING_GROUPS,
    UPLOADS,
    RECORD_LISTS,
    DO_NOT_CALL_LISTS,
    PHONE_VALIDATION,
)
