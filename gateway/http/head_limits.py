"""Limits of a request's head: its bytes and fields. They are checked while it comes, as uvicorn keeps whatever it is sent."""

from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.errors import error_response

MOST_BYTES = 64 * 1024
"""Bytes that the URL and all fields may have together, with the fields behind a body."""
MOST_FIELDS = 100
_STATUS = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class _TooLarge(Exception):
    """Stops the parser."""


class BoundedHeads(HttpToolsProtocol):
    """Answers 431 to a head beyond the limits, and closes the connection.

    The parser reports a field when it has all of it. So two things are counted: the bytes that it has reported of a
    message, and the bytes that came since its last report, which it holds itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._told = 0
        self._fields = 0
        self._silent = 0
        self._heard = False
        """Whether the last bytes began a message, ended a head or belonged to a body."""

    def data_received(self, data: bytes) -> None:
        self._heard = False
        super().data_received(data)
        self._silent = 0 if self._heard else self._silent + len(data)
        if self._silent > MOST_BYTES and not self.transport.is_closing():
            self._refuse()

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
        if self._told > MOST_BYTES or self._fields > MOST_FIELDS:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _tell(self, size: int) -> None:
        self._told += size
        if self._told > MOST_BYTES or self._fields > MOST_FIELDS:
            raise _TooLarge

    def _refuse(self) -> None:
        """Answers 431 and closes the connection. If another answer is on its way, it only closes."""
        if self.cycle is None or self.cycle.response_complete:
            told = f"the head of a request may have {MOST_BYTES:,} bytes and {MOST_FIELDS} fields"
            answer = error_response(_STATUS, _STATUS.name, told, {"Connection": "close"})
            lines = [f"HTTP/1.1 {_STATUS.value} {_STATUS.phrase}".encode()]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()
