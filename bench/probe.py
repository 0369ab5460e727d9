"""Asks for ``/health/live`` again and again, in a process of its own that imports little: ``python -m bench.probe PORT SECONDS EVERY``.

It prints the milliseconds that each question waited, as a list in JSON.
"""

import asyncio
import json
import sys
import time

QUESTION = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def waited(port: int, seconds: float, every: float) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found, ends = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        writer.write(QUESTION)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        (length,) = (line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        found.append((time.perf_counter() - began) * 1000)
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError("the process does not say that it lives")
        await asyncio.sleep(every)
    writer.close()
    return found


if __name__ == "__main__":
    port, seconds, every = sys.argv[1:]
    print(json.dumps(asyncio.run(waited(int(port), float(seconds), float(every)))))
