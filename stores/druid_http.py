"""Druid over HTTP: queries, management, and its errors as ours."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import orjson

from rules.errors import Busy, DeadlineExceeded, InvalidInput, StoreUnavailable
from stores.certificates import Certificates
from stores.deadline import remaining
from stores.kafka_address import KafkaAddress
from stores.urls import check_store_url

BROKER_PORT = 8082
FORM = (
    "groups must be druid://BROKER:PORT?coordinator=HOST:PORT&kafka=HOST:PORT, druids://…, or duckdb:///FILE"
)
FROM_ENVIRONMENT = "druid.dynamic.config.provider"
"""The property of a consumer in Druid that says which others are in the environment of its processes."""
SILENCE = 60.0
"""Seconds without a byte after which a long answer is given up."""
LONGEST_REASON = 300
"""Characters of Druid's reason that an error repeats."""
MANY = 429
TIMED_OUT = 504
"""HTTP statuses of a full lane and of a query whose time is over."""
_KINDS = ("errorCode", "category", "errorClass")
"""What tells the kind of an error in Druid's error document, beside the older ``error``."""
_KIND = re.compile(r"[A-Za-z_.$]{1,100}")
_OLDER_KINDS = frozenset(
    {
        "Json parse failed",
        "Plan validation failed",
        "Query cancelled",
        "Query capacity exceeded",
        "Query context parse failed",
        "Query interrupted",
        "Query timeout",
        "Resource limit exceeded",
        "SQL parse failed",
        "SQL query is unsupported",
        "Truncated response context",
        "Unauthorized request",
        "Unknown exception",
        "Unsupported operation",
    }
)
"""What ``error`` is in an older error document (org.apache.druid.query.QueryException)."""


@dataclass(frozen=True, slots=True)
class Address:
    """The addresses of one Druid. ``kafka``: what its tasks are told of the servers that they read from, as consumers in Java.
    ``certificates``: None without TLS."""

    broker: str
    coordinator: str
    kafka: Mapping[str, Any]
    user: str | None = None
    password: str = field(default="", repr=False)
    certificates: Certificates | None = None

    @classmethod
    def parse(cls, url: str, events: str) -> Self:
        """``druid://user:password@BROKER:PORT?coordinator=HOST:PORT&kafka=HOST:PORT``, or druids:// for HTTPS.

        User and password are percent-encoded. Without ``coordinator`` everything goes to the broker's address, which then must be a router. Without ``kafka``
        Druid reads from the servers of ``events``, the URL of the events port. Its tasks log in there as that says, by the
        properties that ``kafka_env`` lists with the variables of Druid's processes that they are in: so no secret goes to
        Druid's metadata. InvalidInput names what is wrong.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        if parts.scheme not in ("druid", "druids") or not parts.hostname or parts.path.strip("/"):
            raise InvalidInput(FORM, field="groups")
        check_store_url("groups", url)
        if "kafka" not in options and not events.startswith(("kafka:", "kafkas:")):
            raise InvalidInput(
                f"Druid reads from Kafka: set events to kafka://…, or name the servers: {FORM}",
                field="groups",
            )
        scheme = "https" if parts.scheme == "druids" else "http"
        broker = f"{parts.hostname}:{parts.port or BROKER_PORT}"
        return cls(
            broker=f"{scheme}://{broker}",
            coordinator=f"{scheme}://{options.get('coordinator', broker)}",
            kafka=_consumer_properties(options, events),
            user=None if parts.username is None else unquote(parts.username),
            password=unquote(parts.password or ""),
            certificates=Certificates.named_by(options) if scheme == "https" else None,
        )


def _consumer_properties(options: Mapping[str, str], events: str) -> Mapping[str, Any]:
    """What the tasks are told of Kafka: all but secrets."""
    properties: dict[str, Any] = {}
    if events.startswith(("kafka:", "kafkas:")):
        properties |= KafkaAddress.parse(events).consumer_properties
    if "kafka" in options:
        properties["bootstrap.servers"] = options["kafka"]
    if "kafka_env" in options:
        pairs = (pair.partition(":") for pair in options["kafka_env"].split(","))
        variables = {name.strip(): variable.strip() for name, _, variable in pairs}
        properties[FROM_ENVIRONMENT] = {"type": "environment", "variables": variables}
    return properties


class DruidHttp:
    """A pool of connections to one Druid. Each call takes at most ``timeout`` seconds and keeps to the deadline."""

    def __init__(self, address: Address, timeout: float, connections: int) -> None:
        self.address = address
        self.timeout = timeout
        certificates = address.certificates
        self._client = httpx.AsyncClient(
            auth=None if address.user is None else (address.user, address.password),
            # Reading the certificates of authorities takes long, and plain HTTP needs none.
            verify=certificates.context("groups")
            if certificates
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            # The timeout of the whole call is in _answers; a connection that can't be made fails sooner.
            timeout=httpx.Timeout(None, connect=timeout),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=False,
        )

    async def ask(self, body: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """Sends a native query. Its rows, and Druid's response context."""
        response = await self._send("POST", f"{self.address.broker}/druid/v2/", body)
        context = response.headers.get("x-druid-response-context", "{}")
        return _read(response.content), _read(context.encode())

    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Sends a native query, and yields its answer piece by piece, however long that takes: only silence ends it."""
        url, headers = f"{self.address.broker}/druid/v2/", {"Content-Type": "application/json"}
        patience = httpx.Timeout(SILENCE, connect=self.timeout)
        try:
            async with self._client.stream(
                "POST", url, content=orjson.dumps(body), headers=headers, timeout=patience
            ) as response:
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response, is_query=True)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.HTTPError as error:
            raise _unreached(url, error) from error

    async def cancel(self, query_id: str) -> None:
        """Ends the query at Druid."""
        await self._send("DELETE", f"{self.address.broker}/druid/v2/{query_id}")

    async def sql(self, statement: str, *parameters: str) -> Any:
        """Sends SQL about Druid's own tables, and returns the rows. Group queries are native instead."""
        body = {
            "query": statement,
            "parameters": [{"type": "VARCHAR", "value": parameter} for parameter in parameters],
            "resultFormat": "array",
        }
        return _read((await self._send("POST", f"{self.address.broker}/druid/v2/sql", body)).content)

    async def manage(self, method: str, path: str, body: object = None) -> Any:
        """Calls the coordinator or overlord. Its answer; None where it is empty, or there is no such thing."""
        response = await self._send(
            method, f"{self.address.coordinator}/druid/{path}", body, absent=True, is_query=False
        )
        return (
            _read(response.content)
            if response.content and response.status_code != httpx.codes.NOT_FOUND
            else None
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(
        self, method: str, url: str, body: object = None, *, absent: bool = False, is_query: bool = True
    ) -> httpx.Response:
        content = None if body is None else orjson.dumps(body)
        async with self._answers(url):
            response = await self._client.request(
                method, url, content=content, headers={"Content-Type": "application/json"}
            )
        if response.is_success or (absent and response.status_code == httpx.codes.NOT_FOUND):
            return response
        raise _refusal(response, is_query=is_query)

    @asynccontextmanager
    async def _answers(self, url: str) -> AsyncIterator[None]:
        """Turns Druid's silence and broken connections into StoreUnavailable."""
        try:
            async with asyncio.timeout(remaining(self.timeout)):
                yield
        except TimeoutError as error:
            remaining(self.timeout)  # DeadlineExceeded, where it was that
            raise StoreUnavailable(
                f"the groups store did not answer within {self.timeout:g} s", detail=f"Druid at {_host(url)}"
            ) from error
        except httpx.HTTPError as error:
            raise _unreached(url, error) from error


def _unreached(url: str, error: httpx.HTTPError) -> StoreUnavailable:
    why = f"Druid at {_host(url)}: {str(error) or type(error).__name__}"
    return StoreUnavailable("the groups store can't be reached", detail=why)


def _host(url: str) -> str:
    return httpx.URL(url).netloc.decode()


def _read(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        # An answer that has begun can't become an error any more: Druid breaks off.
        raise StoreUnavailable(
            "the groups store's answer broke off", detail=f"after {len(content)} bytes from Druid"
        ) from error


def _refusal(response: httpx.Response, *, is_query: bool) -> StoreUnavailable:
    """The error of Druid's error document, old or new: ``error``, ``errorCode``, ``errorMessage``, ``category``.

    Of a query its kind alone is told: Druid's own words repeat what was asked for, and that names learners.
    """
    try:
        document = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        document = None
    told = document if isinstance(document, dict) else {}
    words = {str(told.get(name, "")) for name in ("error", "errorCode", "category")}
    if is_query:
        kinds = [str(told[name]) for name in _KINDS if _KIND.fullmatch(str(told.get(name, "")))]
        older = [one for one in (str(told.get("error")),) if one in _OLDER_KINDS]
        why = ", ".join((*older, *kinds)) or response.reason_phrase
    else:
        why = str(told.get("errorMessage") or told.get("error") or response.reason_phrase)
    reason = " ".join(why.split())
    reason = f"Druid ({response.status_code}): {reason[:LONGEST_REASON]}"
    if response.status_code == MANY or words & {"Query capacity exceeded", "CAPACITY_EXCEEDED"}:
        return Busy("the groups store takes no more queries now", detail=reason)
    if response.status_code == TIMED_OUT or words & {"Query timeout", "TIMEOUT"}:
        return DeadlineExceeded("the groups store ended the query: its time was over", detail=reason)
    return StoreUnavailable("the groups store could not answer", detail=reason)
