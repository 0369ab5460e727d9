"""What `cohort dev` does: it loads the sample and serves it, with a worker."""

import shutil
import sys
from pathlib import Path

import typer

from gateway.commands.progress import progress
from gateway.dev_tokens import AUTHOR, LEARNER, MENTOR, token_of
from gateway.logs import log_to_stderr
from gateway.pages.ready_queries import QUERIES
from gateway.server import listen, serve
from gateway.settings import Settings, shown
from gateway.wiring import check_mode, initialise, opened, tracking_of
from ingest.importers.sample import load_sample
from loaders.session import Shared

AGGREGATE_EVERY = 10.0
"""Seconds, if nothing is set: who tries Cohort sees totals soon."""


async def develop(settings: Settings, *, verbose: bool = False) -> None:
    """Serves the sample, with a worker, until stopped."""
    log_to_stderr("warning" if settings.log_level == "info" else settings.log_level, settings.log_format)
    if "aggregate_every" not in settings.model_fields_set:
        settings = settings.model_copy(update={"aggregate_every": AGGREGATE_EVERY})
    if "drain" not in settings.model_fields_set:
        settings = settings.model_copy(update={"drain": 0.0})
    if settings.trusted_documents is None:
        # So that agents have tools (docs/mcp.md); any other document is answered as well.
        settings = settings.model_copy(update={"trusted_documents": QUERIES})
    with listen(settings.host, settings.port) as listening:
        await _prepare(settings, verbose)
        await serve(settings, listening, lambda: _announce(settings, listening.url))


async def _prepare(settings: Settings, verbose: bool) -> None:
    """Creates tables, topics and the sample. What is there already stays as it is.

    What was created is printed in one line, or with ``verbose`` in a line each.
    """
    async with opened(settings) as stores:
        done = await initialise(stores)
        if done and not verbose:
            done = [f"Set up tables and topics in {settings.data}/: {len(done)} steps, which --verbose lists"]
        for line in done:
            typer.echo(line, err=True)
        await check_mode(settings, stores)
        with progress() as tell:
            await load_sample(Shared.of(stores, tracking=tracking_of(settings)), tell)


def _announce(settings: Settings, url: str) -> None:
    token = token_of(settings, LEARNER)
    query = "{ me { name enrolments { edges { node { collection { name } completionPercentage } } } } }"
    cohort = _own_name()
    urls = (settings.rows, settings.events, settings.cache, settings.groups)
    engines = ", ".join(map(shown, urls))
    typer.echo(f"""
Engines: {engines}; data in {settings.data}/

TOKEN={token}
curl {url}/graphql -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"query": "{query}"}}'

Dashboards need a mentor's token: {cohort} token {MENTOR.options}
Edits and publishing need a creator's: {cohort} token {AUTHOR.options}
Agents call the ready queries as tools, by MCP: {url}/mcp

Cohort is ready: {url}/ (Ctrl-C stops it)""")


def _own_name() -> str:
    """What a reader types to call this program: its path, where a shell does not find it by its name."""
    own = Path(sys.argv[0])
    found = shutil.which(own.name)
    if own.name != "cohort" or (found is not None and own.exists() and own.samefile(found)):
        return "cohort"
    return str(own.relative_to(Path.cwd())) if own.is_relative_to(Path.cwd()) else str(own)
