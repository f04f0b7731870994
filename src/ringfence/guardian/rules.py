"""The rules: one record for each kind of behaviour that is looked for. What they are told of is in signs.py.

A rule of many signs makes a case when there are as many as its threshold within its window and, where it says against
whom, as many would be there by chance with less than the probability of the setting. A rule of one sign needs no more.
"""

from dataclasses import dataclass
from typing import Literal

from ringfence.kernel.settings import Settings

from .memory import DAY, HOUR, HOURS, MANY

ANSWERED, RINGS, STATUSES, AWAYS = "answered", "rings", "statuses", "aways"  # chances beside hours


@dataclass(frozen=True, slots=True)
class Rule:
    """`threshold` names the setting that holds it; `usual` is hits per chance before anybody was seen.

    `told` is the case's sentence: {n} hits, {hours} of the window, {expected} of the person, {peers} of the peers,
    {threshold}, and {detail} of a rule of one sign. `weight` is what an open case adds to the risk of its user.
    """

    name: str
    title: str
    watches: str
    told: str
    threshold: str
    weight: int
    window: float = DAY
    chances: str = HOURS
    usual: float = 0.001
    against: Literal["peers", "oneself", ""] = ""
    single: bool = False

    def limit(self, settings: Settings) -> int:
        """How many hits it takes."""
        return 1 if self.single else min(max(1, getattr(settings, self.threshold)), MANY)


EXPECTED = "{expected} were to be expected of this person and {peers} of their peers"
IMPOSSIBLE_TRAVEL = Rule(
    "impossible_travel",
    "Impossible travel",
    "two logins of a person from declared networks that are further apart than anybody travels in the time between",
    "The person logged in from two places that nobody gets between in the time: {detail}.",
    "guardian_travel_speed",
    40,
    single=True,
)
FAILED_LOGINS = Rule(
    "failed_logins",
    "Many failed logins",
    "wrong passwords given for a person",
    "{n} wrong passwords were given for the person within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_failed_logins",
    20,
    window=HOUR,
    usual=0.05,
)
UNUSUAL_HOURS = Rule(
    "unusual_hours",
    "Unusual hours",
    "a login or the begin of a shift at an hour about which the person was never active in the 30 days before",
    "The person came in at an hour at which they are never here: {detail}.",
    "guardian_unusual_hours",
    10,
    usual=0.002,
    single=True,
)
MASS_EXPORT = Rule(
    "mass_export",
    "Many exports",
    "reports that one person or client asked for",
    "{n} reports were asked for within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_exports",
    30,
    window=HOUR,
    usual=0.5,
    against="oneself",
)
MASS_CONTACT_CHANGES = Rule(
    "mass_contact_changes",
    "Many contacts changed",
    "contacts that one person or client changed, wrote notes about, deleted or erased",
    "{n} changes were made to contacts within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_contact_changes",
    20,
    window=HOUR,
    usual=5.0,
    against="oneself",
)
MASS_CONTACT_READS = Rule(
    "mass_contact_reads",
    "Many contacts read",
    "hundreds of requests that one client made for contacts",
    "{n} hundred requests for contacts were made within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_contact_reads",
    20,
    window=HOUR,
    usual=0.5,
    against="oneself",
)
RECORDINGS_ACCESSED = Rule(
    "recordings_accessed",
    "Recordings accessed",
    "signed links to the audio of recordings that one person or client was given",
    "The audio of recordings was fetched {n} times within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_recordings",
    25,
    usual=0.5,
    against="peers",
)
HOLD_AND_HANG_UP = Rule(
    "hold_and_hang_up",
    "Put on hold and hung up on",
    "conversations that the agent ended while the contact was on hold",
    "{n} contacts were put on hold and hung up on within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_holds",
    15,
    chances=ANSWERED,
    usual=0.002,
    against="peers",
)
SHORT_TALKS = Rule(
    "short_talks",
    "Hung up on at once",
    "conversations that the agent ended within ten seconds",
    "{n} contacts were hung up on within ten seconds, all within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_short_talks",
    15,
    chances=ANSWERED,
    usual=0.005,
    against="peers",
)
STATUS_FLIPS = Rule(
    "status_flips",
    "Available for a moment only",
    "times that an agent was available for less than half a minute and then away, without a phone that rang",
    "The agent was available for a moment only, {n} times within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_flips",
    10,
    chances=STATUSES,
    usual=0.01,
    against="peers",
)
AWAY_WHILE_WAITING = Rule(
    "away_while_waiting",
    "Away while callers wait",
    "times that an agent went away of their own accord while three or more contacts waited",
    "The agent went away {n} times within {hours} h while callers waited; {threshold} make a case, " + EXPECTED + ".",
    "guardian_aways",
    10,
    chances=AWAYS,
    usual=0.1,
    against="peers",
)
REFUSED_CALLS = Rule(
    "refused_calls",
    "Refused calls",
    "phones that rang and were rejected or ignored",
    "{n} calls were rejected or ignored within {hours} h; {threshold} make a case, " + EXPECTED + ".",
    "guardian_refusals",
    10,
    chances=RINGS,
    usual=0.06,
    against="peers",
)
SCOPE_THEN_EXPORT = Rule(
    "scope_then_export",
    "A scope added, and used to export at once",
    "reports that a client asked for shortly after a scope for reports had been added to it",
    "A client exported data as soon as it could: {detail}.",
    "guardian_scope_use",
    20,
    single=True,
)
AFTER_HOURS_PUBLISHING = Rule(
    "after_hours_publishing",
    "A flow published out of hours",
    "flows that somebody published at night or at the weekend, by the account's clock",
    "A flow was published when nobody should be at it: {detail}.",
    "guardian_day",
    10,
    usual=0.01,
    single=True,
)

RULES = (
    IMPOSSIBLE_TRAVEL, FAILED_LOGINS, UNUSUAL_HOURS, MASS_EXPORT, MASS_CONTACT_CHANGES, MASS_CONTACT_READS,
    RECORDINGS_ACCESSED, HOLD_AND_HANG_UP, SHORT_TALKS, STATUS_FLIPS, AWAY_WHILE_WAITING, REFUSED_CALLS,
    SCOPE_THEN_EXPORT, AFTER_HOURS_PUBLISHING,
)  # fmt: skip
