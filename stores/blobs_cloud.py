"""The blobs port in an object store: S3 and what is compatible with it, Azure, Google."""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from rules.errors import InvalidInput, NotFound, StoreUnavailable
from stores.blobs import CHUNK, Blob, Blobs, checked_life, checked_name, file_name, media_type
from stores.certificates import Certificates
from stores.deadline import remaining
from stores.meter import Meter
from stores.timing import timed

SIDE_BY_SIDE = 2
"""Chunks of one blob that are sent at the same time."""
READ = 256 * 1024
"""Bytes that ``get`` yields at a time, at least."""
WHOLE = 600.0
"""Seconds that writing a whole blob may take where no deadline is nearer."""
LISTED = 500
"""Blobs of one page of a list."""
DELETED = 1000
"""Names in one request to delete; S3 takes no more."""
_CREDENTIALS = {"s3": ("access_key_id", "secret_access_key"), "az": ("account_name", "account_key")}


@timed("blobs", Blobs)
class CloudBlobs:
    """The Blobs port in a bucket. All its blobs begin with ``prefix``. The bucket must exist.

    A process that dies while it writes leaves parts that no list shows and that cost money. So give the bucket a rule
    that ends unfinished uploads after a day.
    """

    def __init__(self, store: S3Store | AzureStore | GCSStore, timeout: float) -> None:
        self.meter = Meter()
        self._store = store
        self._timeout = timeout

    @classmethod
    async def open(
        cls,
        url: str,
        prefix: str,
        timeout: float = 10.0,  # noqa: ASYNC109 - of each later call
    ) -> Self:
        """``s3://KEY:SECRET@BUCKET/FOLDER?endpoint=…&region=…``, ``az://ACCOUNT:KEY@CONTAINER`` or ``gs://BUCKET``.

        Special characters are percent-encoded. Without key and secret, each cloud's usual places are searched: the
        environment, then the machine's own role. ``ca``: a file with authorities beside the machine's. Does not need the store yet. InvalidInput names an unknown option.
        """
        parts = urlsplit(url)
        config = dict(parse_qsl(parts.query))
        certificates = Certificates.named_by({"ca": ca} if (ca := config.pop("ca", None)) else {})
        if parts.username:
            names = _CREDENTIALS.get(parts.scheme)
            if names is None:
                raise InvalidInput(
                    "blobs in gs:// take their credentials from the environment", field="blobs"
                )
            config |= dict(zip(names, map(unquote, (parts.username, parts.password or "")), strict=True))
        folder = f"{parts.path.rstrip('/')}/{prefix}"
        client: Any = {
            "allow_http": config.get("endpoint", "").startswith("http:"),
            "connect_timeout": timedelta(seconds=timeout),
            "read_timeout": timedelta(seconds=timeout),
            "timeout": timedelta(seconds=WHOLE),
        }
        if authorities := certificates.authorities("blobs"):
            client["root_certificate"] = authorities
        retry: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=timeout)}
        try:
            store = from_url(
                urlunsplit((parts.scheme, parts.hostname or "", folder, "", "")),
                config=config,  # type: ignore[call-overload]
                client_options=client,
                retry_config=retry,
            )
        except (BaseError, ValueError) as error:
            raise InvalidInput(f"blobs: {_line(error)}", field="blobs") from None
        return cls(store, timeout)

    async def put(self, name: str, content: AsyncIterable[bytes]) -> int:
        name = checked_name(name)
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in content:
                size += len(chunk)
                yield chunk

        chunks = counted()
        first = bytearray()
        async for chunk in chunks:
            first += chunk
            if len(first) > CHUNK:
                break
        small = len(first) <= CHUNK
        self.meter.count("put")
        async with self._call(WHOLE):
            await obstore.put_async(
                self._store,
                name,
                bytes(first) if small else _chained(bytes(first), chunks),
                attributes={
                    "Content-Type": media_type(name),
                    "Content-Disposition": f'attachment; filename="{file_name(name)}"',
                },
                use_multipart=not small,
                chunk_size=CHUNK,
                max_concurrency=SIDE_BY_SIDE,
            )
        return size

    async def get(self, name: str) -> AsyncIterator[bytes]:
        name = checked_name(name)
        self.meter.count("get")
        try:
            async with self._call():
                found = await obstore.get_async(self._store, name)
        except FileNotFoundError:
            raise NotFound(f"there is no blob {name}", field="name") from None
        stream = found.stream(READ)
        while True:
            # Each chunk has a timeout of its own: a slow reader does not mean a slow store.
            with _errors():
                async with asyncio.timeout(self._timeout):
                    chunk = await anext(stream, None)
            if chunk is None:
                return
            yield bytes(chunk)

    async def find(self, name: str) -> Blob | None:
        name = checked_name(name)
        self.meter.count("find")
        try:
            async with self._call():
                return _blob(await obstore.head_async(self._store, name))
        except FileNotFoundError:
            return None

    async def below(self, prefix: str) -> AsyncIterator[Blob]:
        stream = obstore.list(self._store, checked_name(prefix), chunk_size=LISTED)
        while True:
            self.meter.count("below")
            async with self._call():
                page = await anext(stream, None)
            if page is None:
                return
            for meta in page:
                yield _blob(meta)

    async def delete(self, *names: str) -> None:
        wanted = [checked_name(name) for name in names]
        for place in range(0, len(wanted), DELETED):
            self.meter.count("delete")
            try:
                async with self._call():
                    await obstore.delete_async(self._store, wanted[place : place + DELETED])
            except FileNotFoundError:  # Azure and Google tell, S3 does not
                await self._delete_each(wanted[place : place + DELETED])

    async def link(self, name: str, expires: timedelta) -> str:
        async with self._call():
            url: str = await obstore.sign_async(self._store, "GET", checked_name(name), checked_life(expires))
            return url

    async def ping(self) -> None:
        """Lists a prefix that holds nothing. It fails where the bucket does not exist."""
        async with self._call():
            await anext(obstore.list(self._store, "ping", chunk_size=1), None)

    async def close(self) -> None:
        """Nothing to do: connections end with the engine."""

    async def _delete_each(self, names: list[str]) -> None:
        for name in names:
            try:
                async with self._call():
                    await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                continue

    @asynccontextmanager
    async def _call(self, most: float | None = None) -> AsyncIterator[None]:
        """Bounds a call by ``most`` seconds (without, by the engine's timeout) and by the deadline."""
        seconds = remaining(most or self._timeout)
        with _errors():
            try:
                async with asyncio.timeout(seconds):
                    yield
            except TimeoutError:
                remaining(self._timeout)  # DeadlineExceeded, where it was that
                raise


async def _chained(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in others:
        yield chunk


def _blob(meta: Any) -> Blob:
    return Blob(meta["path"], meta["size"], meta["last_modified"])


def _line(error: Exception) -> str:
    """The error's first line; the others are for who debugs the driver, but what is wrong with a certificate is only there."""
    line = str(error).partition("\n")[0] or type(error).__name__
    certificate = re.search(r"InvalidCertificate\(\s*(\w+?)(Context)?\b", str(error))
    return f"{line}: its certificate is not taken, {certificate[1]}" if certificate else line


@contextmanager
def _errors() -> Iterator[None]:
    """Turns the driver's errors into StoreUnavailable; FileNotFoundError is for the caller."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, TimeoutError, OSError) as error:
        raise StoreUnavailable("the blob store is away", detail=_line(error)) from error
