"""A proxy that speaks TLS with clients and the plain protocol with the server behind it, as operators put before servers that
have no TLS themselves. It can ask for a user and password, as HTTP has them."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

REFUSAL = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Basic\r\nConnection: close\r\n\r\n"
)


@asynccontextmanager
async def tls_proxy(
    certificate: Path, behind: str, *, login: str | None = None, clients: Path | None = None
) -> AsyncIterator[int]:
    """Its port on 127.0.0.1, in front of ``behind``, HOST:PORT. ``certificate`` is read anew for each connection. ``login``:
    USER:PASSWORD that the first request of a connection must have. ``clients``: the authority of clients, which then must
    have a certificate."""
    host, _, port = behind.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        running.add(task)
        writers = [writer]
        try:
            head = b"" if login is None else await reader.readuntil(b"\r\n\r\n")
            if login is not None and not _has_login(head, login):
                writer.write(REFUSAL)
                await writer.drain()
                return
            others_reader, others_writer = await asyncio.open_connection(host, int(port))
            writers.append(others_writer)
            others_writer.write(head)
            await asyncio.gather(_pass_on(reader, others_writer), _pass_on(others_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in writers:
                one.close()
            running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in [*running]:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _has_login(head: bytes, login: str) -> bool:
    return b"authorization: basic " + base64.b64encode(login.encode()).lower() in head.lower()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
