"""A small web server of a test's own, which answers as told, wrongly too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class WebServer:
    """``answers``: by path. ``asked``: the path and the Host header of every request."""

    port: int = 0
    answers: dict[str, bytes | Answer] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str, host: str | None = None) -> str:
        return f"http://{host or '127.0.0.1'}:{self.port}{path}"

    def times(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split()[1]
            (host,) = [line[6:] for line in head.splitlines() if line.lower().startswith("host: ")]
            self.asked.append((path, host))
            answer = self.answers.get(path, answered(b"", status="404 Not Found"))
            await asyncio.sleep(0.01)
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                await answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


def answered(
    body: bytes,
    media_type: str = "image/png",
    status: str = "200 OK",
    *,
    length: bool = True,
    location: str = "",
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", "Connection: close"]
    lines += [f"Content-Length: {len(body)}"] if length else []
    lines += [f"Location: {location}"] if location else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def moved(location: str, status: str = "302 Found") -> bytes:
    return answered(b"", status=status, location=location)


@asynccontextmanager
async def web_server() -> AsyncIterator[WebServer]:
    server = WebServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server
