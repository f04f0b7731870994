"""The Voice Biometrics APIs as the world sees them: opting contacts in, and out."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec

from ringfence.floor import biometrics
from ringfence.kernel.catalog import Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import See, Shape

READ_CONSENT = Scope(biometrics.READ, "See who has agreed to voice biometrics")
WRITE_CONSENT = Scope(biometrics.WRITE, "Record who agrees to voice biometrics")
ENROL = Scope(biometrics.ENROL, "Enrol contacts for voice biometrics, and opt them out")


class Consent(Shape):
    """What a contact has said about voice biometrics, and since when they agree."""

    contact_id: str
    status: biometrics.Status
    consented_at: datetime | None
    links: ClassVar = {"self": "/voicebiometrics/contacts/{contact_id}/consent"}
    example: ClassVar = {
        "contact_id": "5f0000000000000000000002",
        "status": "CONSENTED",
        "consented_at": "2026-01-05T09:00:00Z",
    }


class ConsentSaid(Shape):
    """What a contact says now."""

    status: Literal["NO_CONSENT", "CONSENTED", "REFUSED"]
    example: ClassVar = {"status": "CONSENTED"}


class ConsentNow(Shape):
    status: biometrics.Status


class Phrase(Shape):
    """The phrase that a contact is known by."""

    phrase_id: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    example: ClassVar = {"phrase_id": 1}


class Enrolment(Shape):
    """An enrolment. It is `WAITING` until a recording of the contact has been heard."""

    contact_id: str
    phrase_id: int
    status: Literal["WAITING", "ENROLLED"]
    enrolled_at: datetime
    example: ClassVar = {
        "contact_id": "5f0000000000000000000002",
        "phrase_id": 1,
        "status": "WAITING",
        "enrolled_at": "2026-01-05T09:00:00Z",
    }


async def get_consent(ctx: Ctx, contact_id: str) -> Consent:
    """Get a contact's consent"""
    row = await biometrics.consent(ctx, contact_id)
    return Consent(contact_id=contact_id, status=row["status"], consented_at=row["consented_at"])


async def set_consent(ctx: Ctx, contact_id: str, body: ConsentSaid) -> ConsentNow:
    """Record a contact's consent

    Anything but CONSENTED also deletes their enrolment. All that was said is kept as history.
    """
    row = await biometrics.set_consent(ctx, contact_id, body.status, how="api")
    return ConsentNow(status=row["status"])


async def enrol(ctx: Ctx, contact_id: str, body: Phrase) -> See:
    """Enrol a contact

    201 the first time, 200 again. Their voice is heard in their recordings, in the background.
    """
    row, new = await biometrics.enrol(ctx, contact_id, body.phrase_id)
    made = Enrolment(
        contact_id=contact_id,
        phrase_id=row["phrase_id"],
        status="ENROLLED" if row["print"] else "WAITING",
        enrolled_at=row["enrolled_at"],
    )
    return See(ENROLMENT.format(contact_id=contact_id), status=201 if new else 200, shape=made)


async def opt_out(ctx: Ctx, contact_id: str) -> None:
    """Opt a contact out

    The enrolment and all that was found out about the voice are deleted at once; the consent is DELETED. A signed
    proof of the removal is kept.
    """
    await biometrics.opt_out(ctx, contact_id)


CONSENT = "/voicebiometrics/contacts/{contact_id}/consent"
ENROLMENT = "/voicebiometrics/contacts/{contact_id}/enrollment"
ONE = (NOT_FOUND,)
OPT_IN = Api(
    name="voice_biometrics_opt_in",
    title="Voice Biometrics Opt-In API",
    about="Opts contacts in to voice biometrics.",
    scopes=(READ_CONSENT, WRITE_CONSENT),
    events=biometrics.EVENTS,
    reactions=(biometrics.FOLLOW,),
    jobs=(biometrics.LISTEN,),
    operations=(
        Operation("GET", CONSENT, READ_CONSENT, get_consent, problems=ONE),
        Operation("PUT", CONSENT, WRITE_CONSENT, set_consent, problems=ONE),
    ),
)
OPT_OUT = Api(
    name="voice_biometrics_opt_out",
    title="Voice Biometrics Opt-Out API",
    about="Enrols contacts who have agreed, and opts them out.",
    scopes=(ENROL,),
    operations=(
        Operation(
            "PUT", ENROLMENT, ENROL, enrol, status=201, or_status=200, problems=(NOT_FOUND, biometrics.NO_CONSENT),
            gives=Enrolment,
        ),
        Operation("DELETE", ENROLMENT, ENROL, opt_out, status=204, problems=ONE),
    ),
)  # fmt: skip
