"""The command `cohort`. An error is one line, and the exit code is 1. --debug shows where the error comes from."""

import os
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.commands import (
    aggregate,
    archive,
    archive_checks,
    backup,
    blobs,
    dead_letters,
    doctor,
    documents,
    druid,
    exhaust,
    jobs,
    learners,
    load,
    migrate,
    modes,
    publish,
    run,
    search,
    views,
)
from rules.errors import CohortError

if TYPE_CHECKING:
    from gateway.settings import Settings

LAZY = {"stack": "gateway.commands.stack"}
"""Groups whose modules take long to import. They are loaded when they are used."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Commands(TyperGroup):
    """Loads lazy groups, and prints an error in one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *LAZY]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in LAZY:
            group = typer.main.get_command(import_module(LAZY[cmd_name]).app)
            group.name = cmd_name
            return group
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (CohortError, OSError) as error:
            if _debugging(ctx) or isinstance(error, BrokenPipeError):
                raise
            typer.echo(f"cohort: {error}", err=True)
        except Exception as error:
            if _debugging(ctx) or type(error).__module__.startswith("typer."):
                raise
            typer.echo(f"cohort: {type(error).__name__}: {error} (a fault; --debug shows where)", err=True)
        raise typer.Exit(1)


def _debugging(ctx: Any) -> bool:
    return bool(ctx.params.get("debug")) or os.environ.get("COHORT_LOG_LEVEL", "").lower() == "debug"


app = typer.Typer(
    cls=Commands,
    help="How far is this learner, this group, this course? Try it: cohort dev",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: the setting host]")]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 for any free one. [default: the setting port]")
]


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"cohort {version('cohort')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version, and nothing else.", callback=_tell_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of every command; ``Commands`` reads them."""


@app.command()
def dev(
    host: Host = None,
    port: Port = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="List what is created.")] = False,
) -> None:
    """Serve a sample to try Cohort on: nothing else is needed, all is kept in .cohort/."""
    from gateway.commands.dev import develop

    run(develop(_settings(host=host, port=port, dev=True), verbose=verbose))


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each opens its own stores.")] = 1,
) -> None:
    """Serve the API."""
    from gateway.logs import log_to_stderr
    from gateway.server import listen, serve, serve_in_processes
    from gateway.settings import SettingsError
    from gateway.wiring import check

    settings = _settings(host=host, port=port)
    if workers > 1 and settings.cache.startswith("embedded:"):
        raise SettingsError(
            "several processes need a cache that outlives each of them: set COHORT_CACHE to redis://…"
        )
    if workers > 1 and settings.groups.startswith("duckdb:"):
        raise SettingsError(
            "DuckDB's file is open to one process: set COHORT_GROUPS to druid://BROKER:PORT?coordinator=HOST:PORT"
        )
    log_to_stderr(settings.log_level, settings.log_format)
    if not settings.wait_for_stores:
        run(check(settings))  # so that an error is printed once, not again by each process that is replaced
    with listen(settings.host, settings.port) as listening:

        def announce() -> None:
            typer.echo(f"Cohort listens on {listening.url}", err=True)

        if workers == 1:
            run(serve(settings, listening, announce))
        else:
            serve_in_processes(settings, listening, workers, announce)


@app.command()
def worker() -> None:
    """Turn what learners do into progress, until stopped. Run as many as you like."""
    from gateway.logs import log_to_stderr
    from gateway.worker_process import work

    settings = _settings()
    log_to_stderr(settings.log_level, settings.log_format)
    run(work(settings))


@app.command()
def init() -> None:
    """Create or upgrade tables and topics; says what it did."""
    from gateway.commands.progress import job_progress
    from gateway.logs import log_errors
    from gateway.wiring import check_stores, initialise, opened

    settings = _settings()
    log_errors(settings.log_level)

    async def main() -> list[str]:
        await check_stores(settings)
        async with opened(settings) as stores:
            with job_progress() as tell:
                return await initialise(stores, tell)

    for line in run(main()) or ["nothing to do: everything is there"]:
        typer.echo(line)


@app.command()
def token(
    user: Annotated[str | None, typer.Option(help="Whose. [default: the sample's first learner]")] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="learner, mentor, creator, reporter, admin or service; may be repeated. [default: learner]"
        ),
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it holds: 90s, 15m, 12h, 7d.")] = "24h",
) -> None:
    """Print a bearer token, and nothing else: curl -H "Authorization: Bearer $(cohort token)" …"""
    from gateway.dev_tokens import LEARNER, with_development_key
    from gateway.identity import make_token
    from rules.viewers import Role

    known = {one.value: one for one in Role}
    if unknown := [name for name in role or [] if name not in known]:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(known)}", param_hint="--role")
    roles = [known[name] for name in role or ["learner"]]
    settings = with_development_key(_settings())
    typer.echo(make_token(settings, LEARNER.user if user is None else user, roles, _duration(ttl)))


@app.command()
def caller(user: Annotated[str, typer.Argument(help="The id of a user.")]) -> None:
    """Print what the log calls this user, who is nowhere named in it."""
    from gateway.callers import CallerNames

    typer.echo(CallerNames.of(_settings()).name(user, None))


@app.command("settings")
def show_settings() -> None:
    """Print every setting with its value and where that comes from, as TOML; secrets are masked."""
    from gateway.settings import Settings, load, shown

    loaded = load()
    lines = {name: f"{name} = {shown(getattr(loaded.settings, name))}" for name in Settings.model_fields}
    width = max(map(len, lines.values()))
    for name, line in lines.items():
        typer.echo(f"{line:{width}}  # {loaded.origins[name]}")


@app.command()
def schema(
    write: Annotated[bool, typer.Option("--write", help="Into graph/schema.graphql instead.")] = False,
    release: Annotated[
        bool,
        typer.Option(
            "--release", help="Into graph/released.graphql instead: what later schemas may not break."
        ),
    ] = False,
    federation: Annotated[
        bool, typer.Option("--federation", help="As a subgraph: what `rover supergraph compose` takes.")
    ] = False,
) -> None:
    """Print the GraphQL schema."""
    from graph.schema import PRINTED, RELEASED, printed_schema, write_schema

    if release:
        write_schema(RELEASED)
        typer.echo(f"wrote {RELEASED}", err=True)
    elif federation:
        from graph.subgraph import subgraph_sdl

        typer.echo(subgraph_sdl(), nl=False)
    elif write:
        write_schema()
        typer.echo(f"wrote {PRINTED}", err=True)
    else:
        typer.echo(printed_schema(), nl=False)


app.command()(backup.backup)
app.command()(backup.restore)
app.command()(doctor.doctor)
app.command()(jobs.reconcile)
app.command()(publish.publish)
app.add_typer(jobs.app, name="jobs")
app.add_typer(aggregate.app, name="aggregate")
archive.app.command()(archive_checks.verify)
archive.app.command()(archive_checks.restore)
app.add_typer(archive.app, name="archive")
app.add_typer(blobs.app, name="blobs")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(documents.app, name="documents")
app.add_typer(druid.app, name="druid")
app.add_typer(exhaust.app, name="exhaust")
app.add_typer(learners.app, name="learners")
app.add_typer(load.app, name="load")
app.add_typer(migrate.app, name="migrate")
app.add_typer(modes.app, name="modes")
app.add_typer(search.app, name="search")
app.add_typer(views.app, name="views")


def _settings(**given: Any) -> "Settings":
    from gateway.dev_tokens import with_development_key
    from gateway.settings import load_settings

    settings = load_settings(**given)
    return with_development_key(settings) if settings.dev else settings


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.isascii() or not number.isdigit() or len(number) > 6:
        raise typer.BadParameter(f"{text!r} is no time; write it as 90s, 15m, 12h or 7d", param_hint="--ttl")
    return timedelta(**{UNITS[unit]: int(number)})


if __name__ == "__main__":
    app()
