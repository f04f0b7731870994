"""Files in an S3-compatible bucket: callers PUT them there themselves, at a URL that we sign."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import obstore
from obstore.store import S3Store

from ringfence.kernel.settings import BadSetting, Settings
from ringfence.kernel.shapes import Upload

from .blobs import PIECE, Announced


class S3:
    """Files in a bucket, below a prefix."""

    direct = False

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._now = now
        bucket, _, prefix = settings.files.removeprefix("s3://").partition("/")
        if not bucket:
            raise BadSetting("files must name a bucket: s3://BUCKET/PREFIX.")
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            endpoint=settings.s3_endpoint or None,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key,
            secret_access_key=settings.s3_secret_key,
            client_options={"allow_http": settings.s3_endpoint.startswith("http://")},
        )

    def signed_url(self, key: str, path: str, until: int) -> str:
        return obstore.sign(self._store, "PUT", key, timedelta(seconds=max(1, until - int(self._now()))))

    async def receive(self, key: str, announced: Announced, upload: Upload) -> None:
        raise RuntimeError("files are PUT into the bucket, not here")

    async def length(self, key: str) -> int | None:
        try:
            return (await obstore.head_async(self._store, key))["size"]
        except FileNotFoundError:
            return None

    @asynccontextmanager
    async def fetched(self, key: str) -> AsyncIterator[Path]:
        found = await obstore.get_async(self._store, key)
        with NamedTemporaryFile(prefix="ringfence-") as file:
            async for piece in found.stream(min_chunk_size=PIECE):
                file.write(piece)
            file.flush()
            yield Path(file.name)

    async def read(self, key: str, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        if start < stop:
            found = await obstore.get_async(self._store, key, options={"range": (start, stop)})
            async for piece in found.stream(min_chunk_size=PIECE):
                yield bytes(piece)

    async def write(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        await obstore.put_async(self._store, key, pieces)

    async def delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return

    def clear_away(self, now: float) -> None:
        """Nothing to do: a PUT that does not come whole leaves nothing in a bucket."""

    async def close(self) -> None:
        return None
