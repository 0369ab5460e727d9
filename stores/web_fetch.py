"""Small files from the web, under URLs that somebody else wrote (D-FETCHING-ICONS).

Whoever writes a URL must not reach what only this machine can. So a host is looked up once, all its addresses are
checked, and the connection goes to a checked one: what its name leads to a moment later does not matter. TLS and the
Host header still have the name. Each redirection is checked like the first URL.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpcore
import httpx

from rules.web_addresses import FetchRules, refusal_of_address, refusal_of_url

REDIRECTIONS = 3
SIDE_BY_SIDE = 4
"""Connections at a time."""
SILENT = 3
"""Times in a row after which a host that does not answer is not asked again."""
LONGEST_URL = 2_000
_MOVED = frozenset({301, 302, 303, 307, 308})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks the IP addresses of a host up."""


class NotFetched(Exception):
    """A file that was not fetched. The text says why, for whoever wrote the URL."""


class _Silent(NotFetched):
    """The host did not answer."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """``media_type``: as the server names it, in lower case and without parameters."""

    content: bytes
    media_type: str


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Returns what the system's resolver says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class WebFetch:
    """Fetches files by these rules. One of it is for one piece of work: it remembers who does not answer."""

    def __init__(self, rules: FetchRules, pool: httpcore.AsyncConnectionPool, accept: str) -> None:
        self._rules = rules
        self._pool = pool
        self._headers = ((b"Accept", accept.encode()), (b"User-Agent", b"cohort"))
        self._silent: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, rules: FetchRules, resolve: Resolve = addresses_of, *, accept: str = "image/*"
    ) -> AsyncIterator[Self]:
        """Closes its connections at the end. ``accept``: the media types that are asked for."""
        # Reading the certificates of authorities takes long.
        tls = await asyncio.to_thread(ssl.create_default_context)
        pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=SIDE_BY_SIDE,
            max_keepalive_connections=SIDE_BY_SIDE,
            network_backend=_CheckedAddresses(rules, resolve),
        )
        async with pool:
            yield cls(rules, pool, accept)

    async def get(self, url: str) -> Fetched:
        """Returns the file. NotFetched says why there is none."""
        target = _parsed(url)
        host = target.netloc.decode("ascii", "replace")
        if self._silent[host] >= SILENT:
            raise NotFetched(f"{host} did not answer before, and was not asked again")
        try:
            async with asyncio.timeout(self._rules.within):
                found = await self._followed(target)
        except (TimeoutError, _Silent) as error:
            self._silent[host] += 1
            raise NotFetched(
                str(error) or f"{host} did not answer within {self._rules.within:g} s"
            ) from error
        except NotFetched:
            self._silent.pop(host, None)
            raise
        self._silent.pop(host, None)
        return found

    async def _followed(self, target: httpx.URL) -> Fetched:
        for _ in range(REDIRECTIONS + 1):
            found = await self._answer(target)
            if isinstance(found, Fetched):
                return found
            target = found
        raise NotFetched(f"there were more than {REDIRECTIONS} redirections")

    async def _answer(self, url: httpx.URL) -> Fetched | httpx.URL:
        """The file, or where the server says that it is."""
        reason = refusal_of_url(url.scheme, url.raw_host.decode(), url.port, url.userinfo, self._rules)
        if reason is not None:
            raise NotFetched(reason)
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        try:
            async with self._pool.stream("GET", target, headers=self._headers) as response:
                told = {
                    name.lower().decode("latin-1"): value.decode("latin-1")
                    for name, value in response.headers
                }
                if response.status in _MOVED and "location" in told:
                    return _parsed(told["location"], url)
                if response.status != httpx.codes.OK:
                    raise NotFetched(f"the server answered with status {response.status}")
                media_type = told.get("content-type", "").partition(";")[0].strip().lower()
                return Fetched(await self._read(response), media_type)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise _Silent(f"{url.netloc.decode()} can't be reached") from error

    async def _read(self, response: httpcore.Response) -> bytes:
        """The body. It ends where it is too large, whatever the headers said."""
        content = bytearray()
        async for chunk in response.aiter_stream():
            content += chunk
            if len(content) > self._rules.largest:
                raise NotFetched(f"it has more than {self._rules.largest:,} bytes")
        return bytes(content)


class _CheckedAddresses(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and looks a host up once for a connection."""

    def __init__(self, rules: FetchRules, resolve: Resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - of httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        for address in addresses:
            reason = refusal_of_address(address, self._rules)
            if reason is not None:
                raise NotFetched(f"{host}: {reason}")
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotFetched("only http and https are fetched")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """The URL, by the one parser that everything here goes by."""
    if len(url) > LONGEST_URL:
        raise NotFetched(f"a URL may have {LONGEST_URL:,} characters")
    try:
        return httpx.URL(url) if base is None else base.join(url)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise NotFetched("it is no URL") from error
