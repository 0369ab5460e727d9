"""`cohort druid`: the data sources of group queries, as Druid has them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands import run

if TYPE_CHECKING:
    from stores.druid_supervision import SourceStatus, Supervision

app = typer.Typer(help="The data sources of group queries in Druid.", no_args_is_help=True)


@app.command()
def status(
    json: Annotated[
        bool, typer.Option("--json", help="For programs: a list, an object a data source.")
    ] = False,
) -> None:
    """Supervisors, lag, segments, and what differs from the specs."""

    async def main() -> "list[SourceStatus]":
        from druid_specs import DATA_SOURCES

        async with _supervision() as supervision:
            return await supervision.status(DATA_SOURCES)

    found = run(main())
    if json:
        import orjson

        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    for source in found:
        for line in _lines(source):
            typer.echo(line)


@app.command()
def apply() -> None:
    """Bring supervisors and compaction to what the specs say, as `cohort init` does; says what changed."""

    async def main() -> list[str]:
        from druid_specs import DATA_SOURCES

        async with _supervision() as supervision:
            return await supervision.apply(DATA_SOURCES)

    for line in run(main()) or ["nothing to do: Druid has what the specs say"]:
        typer.echo(line)


@app.command()
def compact() -> None:
    """Bring each key back to one row now. Druid does so by itself, some time later; answers don't change."""

    async def main() -> None:
        from druid_specs import DATA_SOURCES

        count = 0
        async with _supervision() as supervision:
            async for line in supervision.compact(DATA_SOURCES):
                typer.echo(line)
                count += 1
        if not count:
            typer.echo("nothing to do: all segments are compacted")

    run(main())


@asynccontextmanager
async def _supervision() -> "AsyncIterator[Supervision]":
    """The supervision of this shell's instance, whatever its schema. SettingsError if its groups store is not Druid."""
    from gateway.settings import SettingsError, load_settings
    from stores.groups_druid import DruidGroups

    settings = load_settings()
    if not settings.groups.startswith("druid"):
        raise SettingsError(
            f"group queries of this instance go to {settings.groups}: "
            "set COHORT_GROUPS to druid://BROKER:PORT?coordinator=HOST:PORT",
            field="groups",
        )
    groups = await DruidGroups.open(settings.groups, prefix=settings.prefix, events=settings.events)
    try:
        yield groups.supervision
    finally:
        await groups.close()


def _lines(source: "SourceStatus") -> list[str]:
    health = source.state if source.healthy else f"{source.state}, not healthy"
    lag = "unknown" if source.lag is None else source.lag
    return [
        f"{source.name}: {health}, lag {lag}, {source.tasks} tasks",
        f"  {source.segments} segments, {source.rows} rows, {source.bytes / 1e6:.1f} MB; "
        f"{source.unavailable} unavailable, {source.uncompacted} to be compacted",
        *(f"  differs: {difference}" for difference in source.differences),
        *(f"  error: {error}" for error in source.errors),
    ]
