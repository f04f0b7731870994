"""What Guardian tells."""

from datetime import datetime

from ringfence.kernel.catalog import EventType, Scope
from ringfence.kernel.shapes import Shape

READ_CASES = Scope("guardian-cases:read", "See what Guardian detected in how people behave")


class CaseFacts(Shape):
    """A case as it was when it was detected; more hits may have come since."""

    id: str
    case: str
    event_id: str
    user_id: str
    specification: str
    hits_number: int
    pop_prob: float
    detected_at: datetime


CASE_DETECTED = EventType(
    "guardian.case_detected", CaseFacts, "Guardian detected something out of the ordinary", READ_CASES.name
)
