"""Voice biometrics: consent with its history, prints of voices, and proofs that they were removed
(voice_and_guardian.md section 8).

A print is made from the recordings of a contact who has agreed, and is kept sealed. Whoever withdraws has it deleted
in the same transaction; what stays is a signed proof that holds nothing of the voice.
"""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import msgspec
import structlog
from sqlalchemy import bindparam, delete, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ringfence.kernel.catalog import EventType, Job, Reaction
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND, UNAVAILABLE, Fault, Problem
from ringfence.kernel.shapes import Shape
from ringfence.store.columns import Json, Moment
from ringfence.store.outbox import BACKFILL, emit
from ringfence.store.query import ACCOUNT, Row, Statement, adding, all_rows, change, find, mine
from ringfence.store.tables.biometrics import biometric_consents as consents
from ringfence.store.tables.biometrics import biometric_history as history
from ringfence.store.tables.biometrics import biometric_removals as removals
from ringfence.store.tables.biometrics import voice_prints
from ringfence.store.tables.contacts import contact_phones, contacts
from ringfence.store.tables.floor import interactions, recordings
from ringfence.store.work import enqueue, step

from . import media
from .events import CONSENT_ANSWERED, RECORDING_CREATED
from .forgetting import ERASED
from .voice_prints import ENGINE, NoSpeech, Sound, left_of

log = structlog.get_logger()
HEARD = 5  # recordings that a print is made from, the newest
SECONDS = 60  # of each of them
READ, WRITE, ENROL = "voicebiometrics-consent:read", "voicebiometrics-consent:write", "voicebiometrics-enroll:write"
Status = Literal["NO_CONSENT", "CONSENTED", "DELETED", "REFUSED"]
How = Literal["api", "cli", "flow", "opt_out", "deletion", "erasure"]
GONE: dict[str, How] = {"contact.deleted": "deletion", ERASED: "erasure"}  # told by the Contacts API
NO_CONSENT = Problem("consent_missing", 409, "The contact has not agreed to voice biometrics; record their consent.")


class ConsentChanged(Shape):
    """A contact's consent to voice biometrics: what it is now, and how it came to be."""

    contact_id: str
    status: Status
    previous: Status
    how: How
    interaction_id: str | None = None


class Enrolled(Shape):
    contact_id: str
    phrase_id: int


class Removed(Shape):
    """A contact's print is gone; `removal_id` names the proof."""

    contact_id: str
    removal_id: str
    how: How


class Removal(Shape):
    """What a proof says: what there was, when it was removed, by whom and why.

    `print_digest` is a keyed hash of the print, from which nothing of it can be found out.
    """

    id: str
    account_id: str
    contact_id: str
    removed_at: datetime
    removed_by: str
    how: How
    phrase_id: int
    enrolled_at: datetime
    engine: str
    recordings: int
    print_digest: str | None


class Enrolment(Shape):
    """Arguments of the job that listens."""

    contact: str


CONSENT_CHANGED = EventType("biometrics.consent_changed", ConsentChanged, "Consent was given or withdrawn", READ)
ENROLLED = EventType("biometrics.enrolled", Enrolled, "A contact was enrolled for voice biometrics", ENROL)
REMOVED = EventType("biometrics.removed", Removed, "A contact's voice print was removed", ENROL)

_contact = mine(contacts, contacts.c.id).where(contacts.c.id == bindparam("contact"), contacts.c.deleted_at.is_(None))
CONTACT, HELD_CONTACT = Statement(_contact), Statement(_contact.with_for_update())
CONSENT = Statement(mine(consents).where(consents.c.contact_id == bindparam("contact")))
_set: dict[str, Any] = {
    "status": bindparam("now_is"),
    "consented_at": bindparam("agreed", type_=Moment),
    "updated_at": bindparam("at", type_=Moment),
}
SET_CONSENT = Statement(
    upsert(consents)
    .values(account_id=ACCOUNT, contact_id=bindparam("contact"), **_set)
    .on_conflict_do_update(index_elements=[consents.c.account_id, consents.c.contact_id], set_=_set)
)
ADD_HISTORY = adding(history)
HISTORY = Statement(mine(history).where(history.c.contact_id == bindparam("contact")).order_by(history.c.n))
THIS = voice_prints.c.contact_id == bindparam("contact")
PRINT = Statement(mine(voice_prints).where(THIS))
ADD_PRINT = adding(voice_prints)
SET_PHRASE = Statement(
    update(voice_prints)
    .where(voice_prints.c.account_id == ACCOUNT, THIS)
    .values(phrase_id=bindparam("phrase"), updated_at=bindparam("at", type_=Moment))
)
SET_PRINT = Statement(
    update(voice_prints)
    .where(voice_prints.c.account_id == ACCOUNT, THIS)
    .values(
        print=bindparam("sealed"),
        engine=bindparam("by"),
        recordings=bindparam("heard", type_=Json),
        updated_at=bindparam("at", type_=Moment),
    )
)
DROP_PRINT = Statement(delete(voice_prints).where(voice_prints.c.account_id == ACCOUNT, THIS).returning(voice_prints))
ADD_REMOVAL = adding(removals)
REMOVALS = Statement(mine(removals).where(removals.c.contact_id == bindparam("contact")).order_by(removals.c.id))
SPEECH = Statement(
    select(recordings)
    .join(
        interactions,
        (interactions.c.account_id == recordings.c.account_id) & (interactions.c.id == recordings.c.call_id),
    )
    .join(
        contact_phones,
        (contact_phones.c.account_id == interactions.c.account_id)
        & (contact_phones.c.value == interactions.c.contact_number)
        & (contact_phones.c.contact_id == interactions.c.contact_id),
    )
    .where(
        recordings.c.account_id == ACCOUNT,
        contact_phones.c.account_id == ACCOUNT,
        contact_phones.c.contact_id == bindparam("contact"),
        recordings.c.gone_at.is_(None),
        recordings.c.duration >= 2,
        recordings.c.type.in_([literal("conversation"), literal("voicemail")]),
    )
    .order_by(recordings.c.created_at.desc(), recordings.c.id.desc())
    .limit(HEARD),
    everywhere=True,  # all of it is cut to the one :account
)
PRINT_OF_CALLER = Statement(
    select(voice_prints)
    .join(
        interactions,
        (interactions.c.account_id == voice_prints.c.account_id)
        & (interactions.c.contact_id == voice_prints.c.contact_id),
    )
    .where(interactions.c.account_id == ACCOUNT, interactions.c.id == bindparam("call")),
    everywhere=True,
)


# consent


async def _there(ctx: Ctx, contact: str, statement: Statement = HELD_CONTACT) -> None:
    """Hold a contact, so that of two who write one waits; a 404 where there is none."""
    if await find(ctx, statement, contact=contact) is None:
        raise Fault(NOT_FOUND, "There is no such contact in this account.")


async def consent(ctx: Ctx, contact: str) -> Row:
    """What a contact has said last: `status` and `consented_at`."""
    await _there(ctx, contact, CONTACT)
    return await find(ctx, CONSENT, contact=contact) or {"status": "NO_CONSENT", "consented_at": None}


async def consent_history(ctx: Ctx, contact: str) -> list[Row]:
    """All that was ever said, also by people who have been erased."""
    return await all_rows(ctx, HISTORY, contact=contact)


async def set_consent(
    ctx: Ctx, contact: str, status: Status, *, how: How, interaction: str | None = None, at: datetime | None = None
) -> Row:
    """Write down what a contact says. Anything but consent deletes their print. The same again changes nothing."""
    await _there(ctx, contact)
    await _say(ctx, contact, status, how=how, interaction=interaction, at=at or ctx.now())
    return await consent(ctx, contact)


async def _say(
    ctx: Ctx, contact: str, status: Status, *, how: How, interaction: str | None = None, at: datetime
) -> None:
    before = await find(ctx, CONSENT, contact=contact)
    previous: Status = before["status"] if before else "NO_CONSENT"
    if status != "CONSENTED":
        await _remove_print(ctx, contact, how)
    if previous == status:
        return
    agreed = at if status == "CONSENTED" else None
    await change(ctx, SET_CONSENT, contact=contact, now_is=status, agreed=agreed, at=at)
    told = {"contact_id": contact, "status": status, "previous": previous, "how": how, "interaction_id": interaction}
    await ctx.db.run(ADD_HISTORY, account_id=ctx.account, at=at, actor=ctx.actor, **told)
    await emit(ctx, CONSENT_CHANGED, contact, msgspec.convert(told, ConsentChanged))


# enrolment


async def enrol(ctx: Ctx, contact: str, phrase: int) -> tuple[Row, bool]:
    """Enrol a contact who has agreed, or have them listened to anew; whether they were not enrolled before."""
    await _there(ctx, contact)
    said = await consent(ctx, contact)
    if said["status"] != "CONSENTED":
        raise Fault(NO_CONSENT, f"The consent of this contact is {said['status']}.")
    before, now = await find(ctx, PRINT, contact=contact), ctx.now()
    if before is None:
        await ctx.db.run(
            ADD_PRINT, account_id=ctx.account, contact_id=contact, phrase_id=phrase, engine=ENGINE.name, print=None,
            recordings=[], enrolled_at=now, updated_at=now,
        )  # fmt: skip
    else:
        await change(ctx, SET_PHRASE, contact=contact, phrase=phrase, at=now)
    await enqueue(ctx, LISTEN, Enrolment(contact=contact))
    await emit(ctx, ENROLLED, contact, Enrolled(contact_id=contact, phrase_id=phrase))
    return await find(ctx, PRINT, contact=contact) or {}, before is None


async def enrolment(ctx: Ctx, contact: str) -> Row | None:
    return await find(ctx, PRINT, contact=contact)


async def opt_out(ctx: Ctx, contact: str) -> None:
    """Delete the enrolment of a contact and all that follows from it; their consent is DELETED."""
    await _there(ctx, contact)
    await _say(ctx, contact, "DELETED", how="opt_out", at=ctx.now())


# removal, and what proves it


async def _remove_print(ctx: Ctx, contact: str, how: How) -> None:
    row = await find(ctx, DROP_PRINT, contact=contact)
    if row is None:
        return
    vault = ctx.house.vault
    digest = vault.hash(vault.unseal(row["print"], purpose(ctx.account, contact))) if row["print"] else None
    said = Removal(
        id=ctx.new_key(),
        account_id=ctx.account,
        contact_id=contact,
        removed_at=ctx.now(),
        removed_by=ctx.actor,
        how=how,
        phrase_id=row["phrase_id"],
        enrolled_at=row["enrolled_at"],
        engine=row["engine"],
        recordings=len(row["recordings"]),
        print_digest=digest,
    )
    removed = msgspec.to_builtins(said)
    await ctx.db.run(
        ADD_REMOVAL, account_id=ctx.account, id=said.id, contact_id=contact, at=said.removed_at, removed=removed,
        signature=vault.hash(_canonical(removed)),
    )  # fmt: skip
    await emit(ctx, REMOVED, contact, Removed(contact_id=contact, removal_id=said.id, how=how))


def purpose(account: str, contact: str) -> str:
    """What a print is sealed for."""
    return f"voice print {account} {contact}"


def _canonical(removed: Any) -> str:
    """What is signed of a proof: its members in order, as JSON."""
    return "biometric removal " + msgspec.json.encode(removed, order="sorted").decode()


async def proofs(ctx: Ctx, contact: str) -> list[tuple[Row, bool]]:
    """The proofs of removal of a contact, and whether the signature of each is the vault's."""
    rows = await all_rows(ctx, REMOVALS, contact=contact)
    return [(row, ctx.house.vault.matches(_canonical(row["removed"]), row["signature"])) for row in rows]


async def attested(ctx: Ctx, row: Row) -> str:
    """A proof whose signature is the vault's, as a compact JWS (RFC 7515) for whoever asks.

    Its key is among those at /oauth/certs, and stays there.
    """
    claims = {"iss": ctx.house.issuer(ctx.account), "iat": int(ctx.world.time()), **row["removed"]}
    signed: str = await ctx.house.keys.prove("voice-print-removal+jwt", claims)
    return signed


# listening


async def listen(ctx: Ctx, args: Enrolment) -> None:
    """The job: make the print of an enrolled contact from their newest recordings."""
    async with step(ctx) as now:
        row = await find(now, PRINT, contact=args.contact)
        found = await all_rows(now, SPEECH, contact=args.contact)
    heard = [one["id"] for one in found]
    if row is None or not found or (row["print"] and row["recordings"] == heard and row["engine"] == ENGINE.name):
        return
    sounds = [sound for one in found if (sound := await _sound(ctx, one)) is not None]
    try:
        made = await asyncio.get_running_loop().run_in_executor(None, ENGINE.listen, sounds)
    except NoSpeech as why:
        log.info("biometrics.nothing_heard", contact=args.contact, why=str(why))
        return
    sealed = ctx.house.vault.seal(msgspec.json.encode(made).decode(), purpose(ctx.account, args.contact))
    async with step(ctx) as now:  # nothing is written where the enrolment is gone by now
        await change(now, SET_PRINT, contact=args.contact, sealed=sealed, by=ENGINE.name, heard=heard, at=ctx.now())


async def _sound(ctx: Ctx, recording: Row) -> Sound | None:
    """What the contact says in a recording; None where it cannot be heard any more."""
    try:
        row = await media.at_hand(ctx.house, recording)
        stop = min(row["bytes"], SECONDS * 48_000 * 4)
        async with aclosing(media.read(ctx.house, row, 0, stop)) as pieces:
            content = b"".join([piece async for piece in pieces])
        return left_of(content, SECONDS)
    except Fault as why:
        if why.problem is UNAVAILABLE:
            raise  # the carrier has it, and will give it later
        return None
    except NoSpeech as why:
        log.info("biometrics.nothing_heard", recording=recording["id"], why=str(why))
        return None


# what happens elsewhere


async def follow(ctx: Ctx, happened: list[Row]) -> None:
    """The reaction: answers given in flows, new recordings of who is enrolled, and who was deleted or erased."""
    for event in happened:
        here = replace(ctx, account=event["account_id"], origin=BACKFILL if event["origin"] == BACKFILL else "")
        if event["type"] == CONSENT_ANSWERED.name:
            await _answered(here, event)
        elif event["type"] == RECORDING_CREATED.name:
            row = await find(here, PRINT_OF_CALLER, call=event["data"]["call_id"])
            if row is not None and len(row["recordings"]) < HEARD:
                await enqueue(here, LISTEN, Enrolment(contact=row["contact_id"]))
        elif event["type"] in GONE and await find(here, CONSENT, contact=event["key"]) is not None:
            who = replace(here, actor=event["actor"])
            await _say(who, event["key"], "DELETED", how=GONE[event["type"]], at=event["at"])


async def _answered(ctx: Ctx, event: Row) -> None:
    said = event["data"]
    if said["contact_id"] is None:
        return  # forgotten meanwhile
    status: Status = "CONSENTED" if said["consented"] else "REFUSED"
    who = replace(ctx, actor=f"contact:{said['contact_id']}")
    try:
        await set_consent(
            who, said["contact_id"], status, how="flow", interaction=said["interaction_id"], at=event["at"]
        )
    except Fault:
        log.info("biometrics.answer_of_nobody", interaction=said["interaction_id"])


LISTEN = Job("biometrics.listen", Enrolment, listen, retry=(5, 60, 600, 3600), long=True)
FOLLOW = Reaction("biometrics.follow", None, run_all=follow)
EVENTS = (CONSENT_CHANGED, ENROLLED, REMOVED)
