"""An index in OpenSearch, which readers and writers know by an alias: how it is made, and how calls to it end.

Each kind of documents has an engine that builds on this (stores/search_opensearch.py, stores/learner_search_opensearch.py).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from opensearchpy import AsyncOpenSearch, ImproperlyConfigured, NotFoundError, RequestError, TransportError

from rules.errors import InvalidInput, NotInitialised, StoreUnavailable
from stores.certificates import Certificates
from stores.deadline import remaining
from stores.meter import Meter
from stores.urls import check_store_url

W = TypeVar("W")

TIMEOUT = 10.0
"""Seconds that a call may take where no deadline is nearer."""
CONNECTIONS = 10
PAGE = 1_000
"""Documents or values that are read at a time."""
BULK_BYTES = 512 * 1024
"""About how many bytes go into one bulk call."""
FORM = "search must be fts5:///FILE, opensearch://HOST:PORT or opensearchs://USER:PASSWORD@HOST:PORT?ca=FILE"
LONGEST_REASON = 300
"""Characters of OpenSearch's reason that an error repeats."""
_CONFLICT, _GONE = 409, 404


class OpenSearchIndex:
    """The alias is ``PREFIX.KIND``. Nothing is written where it is missing."""

    kind: ClassVar[str]
    """The last part of the alias."""
    called: ClassVar[str]
    """What errors call the index."""
    version: ClassVar[int]
    """Of ``body``. With another one, ``init`` makes a new index, to be filled anew, and deletes the old one."""
    body: ClassVar[Mapping[str, Any]]
    """Settings and mappings of the index."""
    filled_by: ClassVar[str]
    """What fills an empty index, as ``init`` tells it."""

    def __init__(self, client: AsyncOpenSearch, prefix: str, timeout: float, place: str) -> None:
        self.meter = Meter()
        self._client = client
        self._alias = f"{prefix}.{self.kind}"
        self._timeout = timeout
        self._place = place

    @classmethod
    async def open(
        cls,
        url: str,
        prefix: str,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - of each later call
    ) -> Self:
        """``opensearch://HOST:PORT``, or ``opensearchs://USER:PASSWORD@HOST:PORT?ca=FILE`` for TLS, percent-encoded.
        Does not need the server yet. InvalidInput says what is wrong with the URL or the certificates."""
        parts = urlsplit(url)
        try:
            port = parts.port or 9200
        except ValueError:
            raise InvalidInput(FORM, field="search") from None
        check_store_url("search", url)
        if not parts.hostname or parts.path.strip("/"):
            raise InvalidInput(FORM, field="search")
        secure = parts.scheme == "opensearchs"
        certificates = Certificates.named_by(dict(parse_qsl(parts.query)))
        credentials = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        try:
            client = AsyncOpenSearch(
                hosts=[{"host": parts.hostname, "port": port}],
                http_auth=credentials,
                use_ssl=secure,
                ssl_context=certificates.context("search") if secure else None,
                maxsize=CONNECTIONS,
                timeout=timeout + 5,  # ``_call`` is to be the first
                max_retries=0,
            )
        except ImproperlyConfigured as error:
            raise InvalidInput(f"search: {error}", field="search") from None
        return cls(client, prefix, timeout, f"OpenSearch at {parts.hostname}:{port}")

    async def init(self) -> list[str]:
        index = f"{self._alias}-{self.version}"
        async with self._call():
            if await self._client.indices.exists_alias(name=self._alias, index=index):
                return []
            if not await self._client.indices.exists(index=index):
                try:
                    await self._client.indices.create(index=index, body=dict(self.body))
                except RequestError as error:
                    if error.error != "resource_already_exists_exception":  # another process was faster
                        raise
            try:
                earlier = [*await self._client.indices.get_alias(name=self._alias)]
            except NotFoundError:
                earlier = []
            actions: list[dict[str, Any]] = [{"add": {"index": index, "alias": self._alias}}]
            actions += [{"remove_index": {"index": old}} for old in earlier if old != index]
            await self._client.indices.update_aliases(body={"actions": actions})
        return [f"created the {self.kind} index {index}; {self.filled_by}"]

    async def ping(self) -> None:
        async with self._call():
            if not await self._client.indices.exists_alias(name=self._alias):
                raise NotFoundError(_GONE, "the alias is missing", {})

    async def close(self) -> None:
        await self._client.close()

    async def _bulk(self, writes: Sequence[W], lines: Callable[[W], Iterable[bytes]]) -> list[W]:
        """Makes the writes, each told by its ``lines``, and makes them visible. Returns those whose condition failed."""
        left: list[W] = []
        for bulk, body in _bulks(writes, lines):
            async with self._call():
                answer = await self._client.bulk(body=body, index=self._alias, require_alias=True)
            for write, item in zip(bulk, answer["items"], strict=True):
                (done,) = item.values()
                if done["status"] == _CONFLICT:
                    left.append(write)
                elif "error" in done:
                    raise self._refusal(f"{done['status']} {_kind(done['error'])}")
        await self._refresh()
        return left

    async def _search(self, body: Mapping[str, Any]) -> Any:
        async with self._call() as left:
            # All pages of a list are read from the same copy of the index: scores differ between copies.
            params = {"preference": "cohort", "allow_partial_search_results": "false"}
            within = {"timeout": f"{max(1, int(left * 1000))}ms"}
            found = await self._client.search(body={**body, **within}, index=self._alias, params=params)
        if found["timed_out"]:
            remaining(self._timeout)
            raise self._refusal("a search took too long")
        return found

    async def _refresh(self) -> None:
        """Makes what was written visible to searches."""
        async with self._call():
            await self._client.indices.refresh(index=self._alias)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[float]:
        """Keeps to the deadline. Turns OpenSearch's errors into ours."""
        left = remaining(self._timeout)
        try:
            async with asyncio.timeout(left):
                yield left
        except TimeoutError as error:
            remaining(self._timeout)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                f"the {self.called} did not answer within {left:.1f} s", detail=self._place
            ) from error
        except NotFoundError as error:
            raise NotInitialised(
                f"the {self.called} has no index yet: `cohort init` creates it",
                detail=f"{self._place}: {self._alias}",
            ) from error
        except TransportError as error:
            # Its kind alone: OpenSearch's own words repeat what was searched for.
            raise self._refusal(f"{error.status_code} {error.error}") from error

    def _refusal(self, why: object) -> StoreUnavailable:
        return StoreUnavailable(
            f"the {self.called} is away", detail=f"{self._place}: {str(why)[:LONGEST_REASON]}"
        )


def revision_of(found: Mapping[str, Any]) -> str:
    """Returns the revision of a document as it was read: it changes with each write of it."""
    return f"{found['_seq_no']}:{found['_primary_term']}"


def write_action(document_id: str, revision: str | None, *, delete: bool) -> dict[str, Any]:
    """Returns the first line of a write that is refused unless the document has this revision, or is not there if it
    is None."""
    where: dict[str, Any] = {"_id": document_id}
    if revision is not None:
        number, term = map(int, revision.split(":"))
        where |= {"if_seq_no": number, "if_primary_term": term}
    if delete:
        return {"delete": where}
    return {"create" if revision is None else "index": where}


def _bulks(writes: Iterable[W], lines: Callable[[W], Iterable[bytes]]) -> Iterator[tuple[list[W], bytes]]:
    """Gives the writes of each bulk call, and its body."""
    bulk: list[W] = []
    body = bytearray()
    for write in writes:
        bulk.append(write)
        for line in lines(write):
            body += line + b"\n"
        if len(body) >= BULK_BYTES:
            yield bulk, bytes(body)
            bulk, body = [], bytearray()
    if bulk:
        yield bulk, bytes(body)


def _kind(error: object) -> str:
    """The kind of an error that OpenSearch tells of a document: its reason may repeat what is in it."""
    return str(error.get("type", "")) if isinstance(error, dict) else ""
