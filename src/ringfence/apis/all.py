"""The list. An API exists when it is in here."""

from ringfence.fence.activity import ACTIVITY
from ringfence.fence.grants import FENCE
from ringfence.floor.directory import FLOOR
from ringfence.oauth.api import API as OAUTH
from ringfence.web.idempotency import IDEMPOTENCY

from .accounts.api import API as ACCOUNTS
from .contacts.api import API as CONTACTS
from .users.api import API as USERS

APIS = (FENCE, ACTIVITY, FLOOR, IDEMPOTENCY, OAUTH, ACCOUNTS, USERS, CONTACTS)
