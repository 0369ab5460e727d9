"""The local stack: the servers of one directory, started and stopped together."""

import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Template

from stack import jars, processes, programs
from stack.errors import ServersFailed, StackError
from stack.health import port_open
from stack.servers import SERVERS, Server

CONF = Path(__file__).parent / "conf"
LOG_LINES = 30
PORTS_CLOSE_WITHIN = 10.0
"""Seconds after the end of a process in which its ports are waited for."""


class Phase(StrEnum):
    """The state of a server."""

    FETCHING = "fetching jars"
    BUILDING = "building"
    STARTING = "starting"
    UP = "up"
    FOREIGN = "already running, not ours: used as it is, never stopped"
    FAILED = "failed"
    STOPPED = "stopped"
    TAKEN = "not running, and its port is taken by something else"
    UNHEALTHY = "does not answer as it should"


Progress = Callable[[str, Phase], None]


@dataclass(frozen=True)
class Status:
    """The state of one server; the pid only if the process is ours."""

    server: Server
    phase: Phase
    pid: int | None = None


def _silent(_name: str, _phase: Phase) -> None:
    pass


class Stack:
    """The servers whose jars, programs, data, logs and pid files are in one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        servers: Iterable[Server] = SERVERS,
        patience: float = 240.0,
        software: Path | None = None,
    ) -> None:
        """`patience` is how many seconds a server may take to become healthy; `software` where jars and programs are,
        if not in `directory`."""
        self.directory = directory.absolute()
        self.software = (software or directory).absolute()
        self.servers = tuple(servers)
        self.patience = patience

    def up(self, names: Iterable[str] = (), progress: Progress = _silent) -> dict[str, Phase]:
        """Start the named servers (all, if none is named), in parallel, and return when all are healthy.

        By name: UP if the server is ours, FOREIGN if it ran before us. One that fails does not stop the others.
        MissingProgram before anything is started; ServersFailed once each has become healthy or has failed.
        """
        chosen = self.select(names)
        self._require_programs(chosen)
        self._lay_out(chosen)
        reached: dict[str, Phase] = {}
        failures: dict[str, str] = {}
        given_up = threading.Event()

        def start(server: Server) -> None:
            try:
                reached[server.name] = self._bring_up(server, progress, given_up)
            except (StackError, OSError) as error:
                reached[server.name] = Phase.FAILED
                failures[server.name] = str(error)
            progress(server.name, reached[server.name])

        with ThreadPoolExecutor(len(chosen)) as pool:
            try:
                list(pool.map(start, chosen))
            except BaseException:  # Ctrl-C: stop waiting, but let what has started run on
                given_up.set()
                raise
        if failures:
            raise ServersFailed(failures)
        return reached

    def down(self, *, wipe: bool = False) -> list[str]:
        """Stop every server that we started, and return their names. With `wipe`, also delete all data; jars and programs stay."""
        stopped = self._stop(self.servers)
        if wipe and (self.directory / "pids").is_dir():  # never in a folder that is no stack's
            for folder in {server.folder for server in self.servers}:
                for name in ["data", "tmp"]:
                    shutil.rmtree(self.directory / folder / name, ignore_errors=True)
        return stopped

    def stop(self, name: str, *, kill: bool = False) -> list[str]:
        """Stop one server (or family) if it is ours, with `kill` by SIGKILL. Returns the names of those stopped."""
        return self._stop(self.select([name]), kill=kill)

    def restart(self, name: str, *, kill: bool = False, progress: Progress = _silent) -> None:
        """Stop one server (or family) of ours, with `kill` by SIGKILL, and start it again. StackError if it is not ours."""
        self.stop(name, kill=kill)
        if Phase.FOREIGN in self.up([name], progress).values():
            raise StackError(f"{name} was not restarted: it is not ours")

    def status(self) -> list[Status]:
        """The state of each server at this moment."""
        with ThreadPoolExecutor(len(self.servers)) as pool:
            return list(pool.map(self._status, self.servers))

    def logs(self, name: str, *, follow: bool = False, lines: int = 100) -> Iterator[str]:
        """The last lines of a server's log; with `follow`, also new lines, without end. StackError if there is no log."""
        chosen = self.select([name])
        if len(chosen) > 1:
            raise StackError(f"{name} has several logs: {', '.join(server.name for server in chosen)}")
        path = self._log(chosen[0])
        if not path.exists():
            raise StackError(f"{name} has not been started from {self.directory}: no log")
        return self._read_log(path, follow, lines)

    def environment(self, names: Iterable[str] = ()) -> dict[str, str]:
        """The settings that point Cohort to these servers."""
        return {key: value for server in self.select(names) for key, value in server.environment.items()}

    def select(self, names: Iterable[str] = ()) -> list[Server]:
        """The servers with these names or families; all servers if none is named. StackError for an unknown name."""
        wanted = set(names)
        unknown = wanted - {name for server in self.servers for name in (server.name, server.family)}
        if unknown:
            known = ", ".join(dict.fromkeys(server.family for server in self.servers))
            raise StackError(f"no server is called {', '.join(sorted(unknown))}; there are: {known}")
        return [server for server in self.servers if not wanted or wanted & {server.name, server.family}]

    def _require_programs(self, servers: list[Server]) -> None:
        on_java = [server for server in servers if server.runs_on_java]
        if on_java:
            jars.java()
        if not all(jars.present(self._software(server), self._pom(server)) for server in on_java):
            jars.maven()
        if not all(
            programs.present(self._software(server), _module(server)) for server in servers if server.module
        ):
            programs.go()

    def _lay_out(self, servers: list[Server]) -> None:
        """Create folders and configuration files, before any server that shares them reads them."""
        for name in ["logs", "pids"]:
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        for server in servers:
            home = self._home(server)
            for name in ["data", "tmp", "conf"]:
                (home / name).mkdir(parents=True, exist_ok=True)
            for name in ["lib", "bin"] if home != self._software(server) else ():
                with suppress(FileExistsError):
                    (home / name).symlink_to(self._software(server) / name)
            source = CONF / server.family
            for template in source.rglob("*.*") if source.exists() else ():
                target = home / "conf" / template.relative_to(source)
                target.parent.mkdir(exist_ok=True)
                target.write_text(
                    Template(template.read_text()).substitute(
                        server.variables, home=home, version=server.version
                    )
                )

    def _bring_up(self, server: Server, progress: Progress, given_up: threading.Event) -> Phase:
        software = self._software(server)
        if server.runs_on_java and not jars.present(software, self._pom(server)):
            progress(server.name, Phase.FETCHING)
            jars.fetch(software, self._pom(server))
        if server.module and not programs.present(software, _module(server)):
            progress(server.name, Phase.BUILDING)
            programs.build(software, _module(server))
        progress(server.name, Phase.STARTING)
        # Under a lock, so that a second `up` at the same time finds our pid file and not only our port.
        with processes.lock(self.directory / "pids" / f"{server.name}.lock"):
            if processes.running(self._pid_file(server)) is None:
                taken = [port for port in server.ports if port_open(port, server.place.host)]
                if taken and _healthy(server):
                    return Phase.FOREIGN
                if taken:
                    raise StackError(
                        f"port {taken[0]} is taken by something that is not {server.name}, or not a healthy one"
                    )
                self._spawn(server)
        self._wait_until_healthy(server, given_up)
        return Phase.UP

    def _spawn(self, server: Server) -> None:
        home = self._home(server)
        if server.format and not any((home / "data").iterdir()):
            self._format(server, server.format(home))
        within = ["ip", "netns", "exec", server.place.namespace] if server.place.namespace else []
        processes.spawn(
            [*within, *server.command(home)],
            cwd=home,
            log=self._log(server),
            pid_file=self._pid_file(server),
        )

    def _format(self, server: Server, command: list[str]) -> None:
        log = self._log(server)
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        if done.returncode != 0:
            shutil.rmtree(self._home(server) / "data")  # a half formatted folder is of no use
            raise StackError(f"could not format its data folder:\n{self._log_end(server)}")

    def _wait_until_healthy(self, server: Server, given_up: threading.Event) -> None:
        deadline = time.monotonic() + self.patience
        while not _healthy(server, ours=True):
            if processes.running(self._pid_file(server)) is None:
                raise StackError(f"has ended. The last lines of its log:\n{self._log_end(server)}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"not healthy after {self.patience:.0f} s. The last lines of its log:\n{self._log_end(server)}"
                )
            if given_up.wait(0.3):
                raise StackError("was still starting when the command was interrupted")

    def _status(self, server: Server) -> Status:
        pid = processes.running(self._pid_file(server))
        healthy = _healthy(server)
        if pid is not None:
            return Status(server, Phase.UP if healthy else Phase.UNHEALTHY, pid)
        if healthy:
            return Status(server, Phase.FOREIGN)
        return Status(server, Phase.TAKEN if port_open(server.ports[0], server.place.host) else Phase.STOPPED)

    def _stop(self, servers: Sequence[Server], *, kill: bool = False) -> list[str]:
        def stop(server: Server) -> bool:
            try:
                was_ours = processes.stop(self._pid_file(server), kill=kill)
            except PermissionError:
                raise StackError(f"{server.name} was started by another user, who can stop it") from None
            # A killed process is gone before the last of its threads, which hold its ports.
            deadline = time.monotonic() + PORTS_CLOSE_WITHIN
            while (
                was_ours
                and any(port_open(port, server.place.host) for port in server.ports)
                and time.monotonic() < deadline
            ):
                time.sleep(0.05)
            return was_ours

        with ThreadPoolExecutor(len(servers)) as pool:
            return [
                server.name
                for server, was_ours in zip(servers, pool.map(stop, servers), strict=True)
                if was_ours
            ]

    def _pom(self, server: Server) -> str:
        return Template((CONF / server.family / "pom.xml").read_text()).substitute(version=server.version)

    def _home(self, server: Server) -> Path:
        return self.directory / server.folder

    def _software(self, server: Server) -> Path:
        """Where its jars and programs are."""
        return self.software / server.family

    def _log(self, server: Server) -> Path:
        return self.directory / "logs" / f"{server.name}.log"

    def _pid_file(self, server: Server) -> Path:
        return self.directory / "pids" / f"{server.name}.pid"

    def _log_end(self, server: Server) -> str:
        return "".join(self._read_log(self._log(server), follow=False, lines=LOG_LINES)).rstrip()

    @staticmethod
    def _read_log(path: Path, follow: bool, lines: int) -> Iterator[str]:
        with path.open(errors="replace") as log:
            yield from deque(log, maxlen=lines)
            while follow:
                if line := log.readline():
                    yield line
                else:
                    time.sleep(0.2)


def _module(server: Server) -> str:
    return f"{server.module}@{server.version}"


def _healthy(server: Server, *, ours: bool = False) -> bool:
    try:
        if ours and server.prepare:
            server.prepare()
        server.health()
    except Exception:  # noqa: BLE001 - whatever is wrong, it is not healthy
        return False
    return True
