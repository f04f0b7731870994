"""The Recordings API as the world sees it."""

from datetime import datetime
from functools import partial
from typing import ClassVar, Literal
from urllib.parse import quote

import msgspec

from ringfence.floor import media
from ringfence.kernel.catalog import PUBLIC, Api, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import NOT_FOUND
from ringfence.kernel.shapes import Asked, File, Page, PageQuery, See, Shape, paged
from ringfence.oauth.administration import PROBLEMS, administrator
from ringfence.store.blobs import BAD_SIGNATURE, SignedQuery
from ringfence.store.query import Row

from . import domain

READ = Scope("recordings:read", "See and hear recordings of calls")


class Participant(Shape):
    """Who is heard. `participant_id` is that of a user or a contact, else a phone number."""

    participant_type: Literal["AGENT", "CONTACT", "EXTERNAL_NUM"]
    participant_id: str


class Channels(Shape):
    """Who is heard on which channel: contacts on the first (left), agents on the second (right)."""

    channel_1: list[Participant]
    channel_2: list[Participant]


class Recording(Shape):
    """A recording of a call; `index` counts from 0 within the call, `duration` is in seconds."""

    id: str
    call_id: str
    created_at: datetime
    index: int
    duration: int
    type: Literal["conversation", "voicemail", "agent", "consultation"]
    agents: Channels
    links: ClassVar = {"self": "/recordings/{id}", "media": "/recordings/{id}/media"}
    example: ClassVar = {
        "id": "0190d3b1c2a4000180c1d2e3f4a5b6c7",
        "call_id": "0190d3b1a0f4000080c1d2e3f4a5b6c7",
        "created_at": "2026-01-05T09:05:31Z",
        "index": 0,
        "duration": 184,
        "type": "conversation",
        "agents": {
            "channel_1": [{"participant_type": "CONTACT", "participant_id": "5f0000000000000000000002"}],
            "channel_2": [{"participant_type": "AGENT", "participant_id": "5f0000000000000000000001"}],
        },
    }


class OneRecording(Shape):
    recording: Recording
    links: ClassVar = {"self": "/recordings/{recording.id}", "media": "/recordings/{recording.id}/media"}
    example: ClassVar = {"recording": Recording.example}


class Reference(Shape):
    href: str


class MediaReferences(Shape):
    here: Reference = msgspec.field(name="self")
    file: Reference


class Media(Shape):
    """Where the audio is: `file` is a signed URL that needs no token, for a while."""

    found: MediaReferences = msgspec.field(name="_links")


class RecordingQuery(Shape):
    """`redacted` asks for the version without what must not be heard."""

    redacted: bool = False


def shown(row: Row) -> Recording:
    return Recording(
        id=row["id"],
        call_id=row["call_id"],
        created_at=row["created_at"],
        index=row["number"],
        duration=row["duration"],
        type=row["type"],
        agents=msgspec.convert(row["channels"], Channels),
    )


async def list_recordings(ctx: Ctx, call_id: str, query: PageQuery) -> Page[Recording]:
    """List the recordings of a call"""
    rows = await domain.of_call(ctx, call_id)
    here = f"/calls/{quote(call_id, safe='')}/recordings"
    return paged(
        "recordings",
        [shown(row) for row in rows],
        query.page,
        query.per_page,
        members=("total", "count", "page", "per_page"),
        bounds=False,
        extra_links={"page": {"href": f"{here}{{?page,per_page}}", "templated": True}},
    )


async def get_recording(ctx: Ctx, recording_id: str, query: RecordingQuery) -> OneRecording:
    """Get one recording

    It stays when its audio has been dropped.
    """
    return OneRecording(recording=shown(await domain.get(ctx, recording_id, redacted=query.redacted)))


async def get_media(ctx: Ctx, recording_id: str, query: RecordingQuery) -> See:
    """Get the audio of a recording

    The answer leads to a signed URL, which needs no token and serves ranges until it expires.
    """
    row = await domain.get(ctx, recording_id, redacted=query.redacted)
    url = await domain.lend(ctx, row)
    here = Reference(href=f"{ctx.house.gateway_base}/recordings/{row['id']}/media")
    return See(url, shape=Media(found=MediaReferences(here=here, file=Reference(href=url))))


async def get_file(ctx: Ctx, recording_id: str, query: SignedQuery) -> File:
    """Hear a recording

    At the signed URL as it was given: WAV, the contact on the left channel, the agent on the right.
    """
    row = await domain.lent(ctx, recording_id, account=query.account, expires=query.expires, signature=query.signature)
    return File(
        media=row["media"],
        length=row["bytes"],
        read=partial(media.read, ctx.house, row),
        etag=row["id"],
        name=f"recording-{row['id']}.wav",
    )


async def delete_recording(ctx: Ctx, interaction_id: str, recording_id: str, asked: Asked) -> None:
    """Drop the audio of a recording

    For administrators in their browsers: it takes their session, not a token. That there was a recording is kept.
    """
    within = await administrator(ctx, asked)
    await domain.delete(within, call=interaction_id, recording=recording_id)


async def start_recording(ctx: Ctx, interaction_id: str, asked: Asked) -> None:
    """Record a call from now on

    For administrators in their browsers: it takes their session, not a token.
    """
    await domain.steer(await administrator(ctx, asked), interaction_id, "record")


async def pause_recording(ctx: Ctx, interaction_id: str, asked: Asked) -> None:
    """Do not record a call for now

    For administrators in their browsers: it takes their session, not a token.
    """
    await domain.steer(await administrator(ctx, asked), interaction_id, "pause_recording")


STEERED = (*PROBLEMS, NOT_FOUND, domain.CALL_ENDED)
ACTIONS = "/interactions/{interaction_id}/actions"
API = Api(
    name="recordings",
    title="Recordings API",
    about="Recordings of calls and their audio.",
    scopes=(READ,),
    reactions=(domain.FORGETTING,),
    jobs=(domain.DELETE_MEDIA, domain.RETENTION),
    operations=(
        Operation("GET", "/calls/{call_id}/recordings", READ, list_recordings, problems=(NOT_FOUND,)),
        Operation("GET", "/recordings/{recording_id}", READ, get_recording, problems=(NOT_FOUND,)),
        Operation(
            "GET",
            "/recordings/{recording_id}/media",
            READ,
            get_media,
            status=303,
            problems=(NOT_FOUND, media.GONE),
            writes=True,
            gives=Media,
        ),
        Operation(
            "GET",
            "/recordings/{recording_id}/file",
            PUBLIC,
            get_file,
            problems=(NOT_FOUND, BAD_SIGNATURE, media.GONE, media.DAMAGED),
            serves=media.WAV,
        ),
        Operation(
            "DELETE",
            "/interactions/{interaction_id}/recordings/{recording_id}",
            PUBLIC,
            delete_recording,
            status=204,
            problems=(*PROBLEMS, NOT_FOUND, media.GONE),
        ),
        Operation("POST", f"{ACTIONS}/start_recording", PUBLIC, start_recording, status=202, problems=STEERED),
        Operation("POST", f"{ACTIONS}/pause_recording", PUBLIC, pause_recording, status=202, problems=STEERED),
    ),
)
