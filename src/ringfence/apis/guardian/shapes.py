"""What the Guardian APIs show (contract: voice_and_guardian.md section 4)."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec

from ringfence.kernel.shapes import PageQuery, Shape

USER = "5f0000000000000000000001"


class ListQuery(PageQuery):
    """`filter` and `order_by` go by the fields of the items; docs/guardian.md has the grammar."""

    filter: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    order_by: Annotated[str, msgspec.Meta(max_length=500)] = ""


class Hit(Shape):
    event_id: str
    timestamp: datetime


class Case(Shape):
    """Something out of the ordinary. `baseline` is the hits that were to be expected of the user within the window.

    `user_baseline` and `pop_baseline` are hits of each of the 30 days before, of the user and of an average peer;
    `user_prob` and `pop_prob` how likely as many hits are by chance, and the confidences what is left of 1.
    """

    id: str
    case: str
    event_id: str
    user_id: str
    specification: str
    hits: list[Hit]
    hits_number: int
    baseline: float
    user_baseline: list[float]
    pop_baseline: list[float]
    user_conf: float
    user_prob: float
    pop_conf: float
    pop_prob: float
    source: Literal["DATABRICKS", "ELASTICSEARCH", "EVENT_LOG"]
    ingest_timestamp: datetime
    example: ClassVar = {
        "id": "6f1c2a4000180c1d2e3f4a5b6c7d8e9f",
        "case": "hold_and_hang_up",
        "event_id": "0190d3b1c2a4000180c1d2e3f4a5b6c7",
        "user_id": USER,
        "specification": "5 contacts were put on hold and hung up on within 24 h; 5 make a case, 0.08 were to be"
        " expected of this person and 0.08 of their peers.",
        "hits": [{"event_id": "0190d3b1c2a4000180c1d2e3f4a5b6c7", "timestamp": "2026-01-05T09:05:31Z"}],
        "hits_number": 5,
        "baseline": 0.08,
        "user_baseline": [0] * 29 + [1],
        "pop_baseline": [0] * 30,
        "user_conf": 0.9999999748,
        "user_prob": 2.52e-8,
        "pop_conf": 0.9999999748,
        "pop_prob": 2.52e-8,
        "source": "EVENT_LOG",
        "ingest_timestamp": "2026-01-05T09:05:31Z",
    }


class Session(Shape):
    """A login to our pages or a shift on the floor; it goes on while `logout_timestamp` is null."""

    id: str
    user_id: str
    login_timestamp: datetime
    logout_timestamp: datetime | None
    country: str
    ip_address: str | None
    latitude: float | None
    longitude: float | None
    browser_full: str | None
    os_full: str | None
    sso: bool
    support_access: bool
    example: ClassVar = {
        "id": "0190d3b1c2a4000180c1d2e3f4a5b6c7",
        "user_id": USER,
        "login_timestamp": "2026-01-05T09:05:31Z",
        "logout_timestamp": None,
        "country": "PT",
        "ip_address": "198.51.100.7",
        "latitude": 38.72,
        "longitude": -9.14,
        "browser_full": "Firefox 128.0",
        "os_full": "Windows 10",
        "sso": False,
        "support_access": False,
    }


class Average(Shape):
    avg: float | None


class QualityOfUser(Shape):
    """Over the previous 30 days; `avg_affected_calls`: whether their average call was affected."""

    avg_affected_calls: bool
    mos: Average


class GuardianUser(Shape):
    """A person as Guardian knows them; `role` joins several with `+`, `risk` is from 0 to 100."""

    id: str
    name: str
    email: str
    role: str
    ring_groups: list[str]
    creation_time: datetime
    presence: str
    presence_type: Literal["available", "busy", "away", "offline"]
    risk: int
    status: Literal["ACTIVE", "INACTIVE", "PENDING"]
    call_quality: QualityOfUser
    example: ClassVar = {
        "id": USER,
        "name": "Ana Sol",
        "email": "ana@acme.example",
        "role": "agent",
        "ring_groups": ["sales"],
        "creation_time": "2026-01-05T09:00:00Z",
        "presence": "away_lunch",
        "presence_type": "away",
        "risk": 15,
        "status": "ACTIVE",
        "call_quality": {"avg_affected_calls": False, "mos": {"avg": 4.31}},
    }


class RoleAssignment(Shape):
    id: str
    role: str
    assigned_at: datetime
    assigned_by: str
    example: ClassVar = {
        "id": "0190d3b1c2a4000180c1d2e3f4a5b6c7",
        "role": "agent",
        "assigned_at": "2026-01-05T09:00:00Z",
        "assigned_by": "cli:owner",
    }


class Jitter(Shape):
    avg: float
    max: float


class Spread(Shape):
    avg: float
    max: float
    min: float


class CallQuality(Shape):
    """How an answered contact sounded: jitter and round trip in milliseconds, loss in percent, MOS from 1 to 4.5."""

    call_id: str
    interaction_id: str
    user_id: str | None
    timestamp: datetime
    affected_call: bool
    jitter: Jitter
    mos: Spread
    rtt: Spread
    packets_loss_percentage: float
    example: ClassVar = {
        "call_id": "0190d3b1a0f4000080c1d2e3f4a5b6c7",
        "interaction_id": "0190d3b1a0f4000080c1d2e3f4a5b6c7",
        "user_id": USER,
        "timestamp": "2026-01-05T09:05:31Z",
        "affected_call": False,
        "jitter": {"avg": 4.1, "max": 9.0},
        "mos": {"avg": 4.31, "max": 4.32, "min": 4.29},
        "rtt": {"avg": 61.0, "max": 103.7, "min": 48.8},
        "packets_loss_percentage": 0.1,
    }
