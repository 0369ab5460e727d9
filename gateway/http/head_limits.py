"""Limits of a request's head: its bytes and fields. They are checked while it comes, as uvicorn keeps whatever it is sent."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.errors import error_response


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may send, how long it may take for it, and how many connections there may be."""

    largest_head: int = 64 * 1024
    """Bytes that the URL and all fields may have together, with the fields behind a body."""
    most_headers: int = 100
    head_timeout: float = 10.0
    """Seconds until a head is whole."""
    body_timeout: float = 30.0
    """Seconds until a body is whole, from the end of its head."""
    idle_timeout: float = 65.0
    """Seconds between two requests."""
    send_timeout: float = 30.0
    """Seconds in which a client must take a part of its answer."""
    most_connections: int = 800


class _TooLarge(Exception):
    """Stops the parser."""


class BoundedHeads(HttpToolsProtocol):
    """Answers 431 to a head beyond the limits, and closes the connection.

    The parser reports a field when it has all of it. So two things are counted: the bytes that it has reported of a
    message, and the bytes that came since its last report, which it holds itself.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = limits
        self._told = 0
        self._fields = 0
        self._silent = 0
        self._heard = False
        """Whether the last bytes began a message, ended a head or belonged to a body."""

    def data_received(self, data: bytes) -> None:
        self._heard = False
        super().data_received(data)
        self._silent = 0 if self._heard else self._silent + len(data)
        if self._silent > self.limits.largest_head and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        self._told = self._fields = 0
        self._heard = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._tell(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._tell(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._heard = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._heard = True
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Is called for a message that the parser could not read."""
        if self._head_is_too_large:
            self._refuse_head()
        elif self.is_answering:
            self.transport.close()  # a 400 in the middle of an answer would be taken for a part of it
        else:
            super().send_400_response(msg)

    @property
    def is_answering(self) -> bool:
        """Whether a request came whose answer is not complete yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def refuse(self, status: HTTPStatus, message: str, **headers: str) -> None:
        """Answers with the status and closes the connection. If another answer is on its way, it only closes."""
        if not self.is_answering:
            answer = error_response(
                status, status.name, message, {"Connection": "close", **_hyphenated(headers)}
            )
            lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()

    @property
    def _head_is_too_large(self) -> bool:
        return self._told > self.limits.largest_head or self._fields > self.limits.most_headers

    def _tell(self, size: int) -> None:
        self._told += size
        if self._head_is_too_large:
            raise _TooLarge

    def _refuse_head(self) -> None:
        limits = self.limits
        told = (
            f"the head of a request may have {limits.largest_head:,} bytes and {limits.most_headers} fields"
        )
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, told)


def _hyphenated(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
