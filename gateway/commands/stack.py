"""`cohort stack`: the real servers on this machine, without Docker.

What a program may read (the export lines, the logs) goes to standard output, all else to standard error.
`eval "$(cohort stack up)"` starts the servers, shows the progress, and points this shell to them.
"""

import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from stack.cluster import NODES, cluster
from stack.errors import StackError
from stack.servers import Server
from stack.stack import Phase, Progress, Stack

app = typer.Typer(
    help="Start and stop the real servers on this machine, without Docker.", no_args_is_help=True
)

Directory = Annotated[
    Path, typer.Option("--dir", envvar="COHORT_STACK_DIR", help="Where jars, data, logs and pid files are.")
]
Nodes = Annotated[
    int,
    typer.Option(
        "--nodes",
        envvar="COHORT_STACK_NODES",
        min=1,
        max=NODES,
        help=f"{NODES}: a cluster of as many Cassandra nodes and Kafka brokers beside one Valkey, in DIR/cluster.",
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(help="cassandra, kafka, valkey, opensearch, druid, versitygw; all if none is named."),
]
Name = Annotated[str, typer.Argument(help="A server, as `cohort stack status` names it.")]
Kill = Annotated[
    bool, typer.Option("--kill", help="By SIGKILL: it cannot save anything, as in a power failure.")
]
HERE = Path(".stack")

COLOURS = {
    Phase.UP: "green",
    Phase.FOREIGN: "cyan",
    Phase.FAILED: "red",
    Phase.TAKEN: "red",
    Phase.UNHEALTHY: "yellow",
}


@app.command()
def up(names: Names = None, directory: Directory = HERE, nodes: Nodes = 1) -> None:
    """Start servers, wait until each is healthy, and print the settings that point Cohort to them."""
    with _telling_errors() as console:
        stack = _stack(directory, nodes)
        chosen = stack.select(names or [])
        with _progress(chosen, console) as progress:
            stack.up(names or [], progress)
        used = {server.family for server in chosen if server.environment}
        unused = dict.fromkeys(server.family for server in chosen if server.family not in used)
        if unused:
            console.print(f"not used by Cohort yet: {', '.join(unused)}")
        _print_exports(stack, names or [])


@app.command()
def down(
    directory: Directory = HERE,
    nodes: Nodes = 1,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete all data, too (the jars stay).")] = False,
) -> None:
    """Stop all servers that were started from this directory, and no others."""
    with _telling_errors() as console:
        stopped = _stack(directory, nodes).down(wipe=wipe)
        told = f"stopped: {', '.join(stopped)}" if stopped else "nothing of ours was running"
        console.print(told, soft_wrap=True)
        if wipe:
            console.print("deleted: all data")


@app.command()
def status(directory: Directory = HERE, nodes: Nodes = 1) -> None:
    """Show how each server is, its ports, and its pid if it is ours."""
    table = Table("server", "version", "ports", "pid", "state", box=None)
    with _telling_errors():
        for one in _stack(directory, nodes).status():
            ports = " ".join(map(str, one.server.ports))
            style = COLOURS.get(one.phase)
            table.add_row(
                one.server.name, one.server.version, ports, str(one.pid or ""), one.phase, style=style
            )
        Console().print(table)


@app.command()
def logs(
    name: Name,
    directory: Directory = HERE,
    nodes: Nodes = 1,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.", min=0)] = 100,
) -> None:
    """Show the last lines of a server's log."""
    with _telling_errors():
        for line in _stack(directory, nodes).logs(name, follow=follow, lines=lines):
            typer.echo(line, nl=False)


@app.command()
def env(names: Names = None, directory: Directory = HERE, nodes: Nodes = 1) -> None:
    """Print the settings that point Cohort to the servers: eval "$(cohort stack env)"."""
    with _telling_errors():
        _print_exports(_stack(directory, nodes), names or [])


@app.command()
def stop(name: Name, directory: Directory = HERE, kill: Kill = False, nodes: Nodes = 1) -> None:
    """Stop one server, if it is ours."""
    with _telling_errors() as console:
        stopped = _stack(directory, nodes).stop(name, kill=kill)
        if not stopped:
            raise StackError(f"{name} is not running, or not ours to stop")
        console.print(f"stopped: {', '.join(stopped)}", soft_wrap=True)


@app.command()
def restart(name: Name, directory: Directory = HERE, kill: Kill = False, nodes: Nodes = 1) -> None:
    """Stop one server of ours and start it again: see how Cohort bears it."""
    with _telling_errors() as console:
        stack = _stack(directory, nodes)
        with _progress(stack.select([name]), console) as progress:
            stack.restart(name, kill=kill, progress=progress)


def _stack(directory: Path, nodes: int) -> Stack:
    """The usual stack, or a cluster beside it, which shares its jars."""
    if nodes == 1:
        return Stack(directory)
    if nodes != NODES:
        raise StackError(f"a cluster has {NODES} nodes: with {nodes}, none may be away")
    return Stack(directory / "cluster", servers=cluster(), software=directory)


def _print_exports(stack: Stack, names: list[str]) -> None:
    for key, value in stack.environment(names).items():
        typer.echo(f"export {key}={shlex.quote(value)}")


@contextmanager
def _telling_errors() -> Iterator[Console]:
    """Prints a failure in words, and exits with its code, without a stack trace."""
    console = Console(stderr=True, highlight=False)
    try:
        yield console
    except StackError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(error.exit_code) from None
    except OSError as error:  # a folder that may not be written, a full disk
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("interrupted; what was started runs on until `cohort stack down`")
        raise typer.Exit(130) from None


@contextmanager
def _progress(servers: list[Server], console: Console) -> Iterator[Progress]:
    """Shows a line for each server: kept up to date on a terminal, else printed at each change."""
    # The clients log every failure to reach a server. Here the server is still starting, so that is no news.
    for library in ["aiokafka", "cassandra"]:
        logging.getLogger(library).setLevel(logging.CRITICAL)
    began = time.monotonic()
    seen: dict[str, tuple[Phase, float]] = {}

    def line(name: str) -> str:
        phase, when = seen[name]
        return f"{name:18} {when:5.1f} s  {phase}"

    def table() -> Table:
        grid = Table.grid()
        for server in servers:
            if server.name in seen:
                phase, when = seen[server.name]
                moving = phase in {Phase.FETCHING, Phase.BUILDING, Phase.STARTING}
                seen[server.name] = phase, time.monotonic() - began if moving else when
                grid.add_row(line(server.name), style=COLOURS.get(phase))
        return grid

    def note(name: str, phase: Phase) -> None:
        seen[name] = phase, time.monotonic() - began
        if not console.is_terminal:
            console.print(line(name), soft_wrap=True)

    if console.is_terminal:
        with Live(get_renderable=table, console=console, refresh_per_second=8):
            yield note
    else:
        yield note
