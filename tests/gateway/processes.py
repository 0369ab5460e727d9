"""Cohort's commands in processes of their own, as an operator runs them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

_numbers = count()


@dataclass(frozen=True)
class Shell:
    """Runs the program of ``python`` with these settings, in ``folder``, where each command leaves its log."""

    settings: Mapping[str, str]
    folder: Path
    python: str = sys.executable
    code: Path = field(default=Path(__file__).parent.parent.parent)
    """Where the program's modules are."""

    async def start(self, *words: str) -> "Command":
        log = self.folder / f"{next(_numbers)}-{words[0]}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COHORT_")}
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(self.python, "-m", "gateway.cli", *words),
                env={**environment, **self.settings, "PYTHONPATH": str(self.code)},
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )
        return Command(process, log)

    @asynccontextmanager
    async def running(self, *words: str) -> AsyncIterator["Command"]:
        """A command that runs within the block, and is ended in peace."""
        command = await self.start(*words)
        try:
            yield command
        finally:
            await command.stop()

    async def run(self, *words: str, code: int = 0) -> str:
        """Runs a command to its end, and gives what it printed."""
        command = await self.start(*words)
        try:
            ended = await command.process.wait()
        except BaseException:
            await command.kill()
            raise
        assert ended == code, f"{' '.join(words)} ended with {ended}: {command.said()}"
        return command.said()


@dataclass(frozen=True)
class Command:
    """A command that was started."""

    process: asyncio.subprocess.Process
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    async def stop(self) -> int:
        """Ends it by SIGTERM, and gives its exit code. A process that is stuck is killed after a minute."""
        if self.process.returncode is None:
            self.process.terminate()
            with suppress(TimeoutError):
                return await asyncio.wait_for(self.process.wait(), 60)
            await self.kill()
        return await self.process.wait()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class Supervised:
    """A command that is started again whenever it ends before it is told to, as a supervisor does: one that starts while a store
    is slow to answer may give up."""

    def __init__(self, shell: Shell, *words: str) -> None:
        self._shell, self._words = shell, words
        self._told = False
        self._command: Command | None = None
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> int:
        while True:
            self._command = await self._shell.start(*self._words)
            code = await self._command.process.wait()
            if self._told:
                return code

    async def stop(self) -> int:
        """By SIGTERM; gives the exit code."""
        self._told = True
        if self._command is not None:
            await self._command.stop()
        return await self._task

    async def kill(self) -> None:
        self._told = True
        if self._command is not None:
            await self._command.kill()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def ready(client: httpx.AsyncClient, within: float = 90) -> None:
    """Returns once the server there is ready."""
    async with asyncio.timeout(within):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
