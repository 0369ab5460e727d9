"""What only `cohort dev` does: a key of its own, so that nobody has to make one to try Cohort, and the sample."""

import os
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import typer
from pydantic import SecretStr

from gateway.identity import make_token
from gateway.settings import Settings, shown
from rules.viewers import Role
from stores.private import private_folder

KEY_FILE = "jwt.key"
TOKEN_LIFE = timedelta(hours=24)
MENTOR_ROLES = (Role.MENTOR, Role.REPORTER)
AGGREGATE_EVERY = 10.0
"""Seconds, where nothing is set: who tries Cohort sees totals soon."""


def with_development_key(settings: Settings) -> Settings:
    """The settings with the key kept in the data directory, where none is set; makes the key once."""
    if settings.jwt_key is not None:
        return settings
    return settings.model_copy(update={"jwt_key": SecretStr(_kept_key(settings.data))})


def first_learner() -> str:
    from ingest.importers.sample import (
        FIRST_LEARNER,  # with all that a command needs: too much for who names a user
    )

    return FIRST_LEARNER


def learner_token(settings: Settings) -> str:
    """Of the sample's first learner."""
    return make_token(settings, first_learner(), [Role.LEARNER], TOKEN_LIFE)


def mentor_token(settings: Settings) -> str:
    """Of the sample's mentor, who may see every learner and the figures of all of them."""
    from ingest.importers.sample import MENTOR

    return make_token(settings, MENTOR, MENTOR_ROLES, TOKEN_LIFE)


async def develop(settings: Settings, *, verbose: bool = False) -> None:
    """Serves the sample, with a worker, until stopped."""
    from gateway.logs import log_to_stderr
    from gateway.serving import listen, serve

    log_to_stderr("warning" if settings.log_level == "info" else settings.log_level)
    if "aggregate_every" not in settings.model_fields_set:
        settings = settings.model_copy(update={"aggregate_every": AGGREGATE_EVERY})
    with listen(settings.host, settings.port) as listening:
        await _prepare(settings, verbose)
        await serve(settings, listening, lambda: _announce(settings, listening.url))


async def _prepare(settings: Settings, verbose: bool) -> None:
    """Tables, topics and the sample; what is there already stays as it is. What was created is told in a line, or
    ``verbose`` in one each."""
    from gateway.commands.progress import progress
    from gateway.wiring import check_mode, initialise, opened, tracking_of
    from ingest.importers.sample import load_sample
    from loaders.session import Shared

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
    from ingest.importers.sample import MENTOR

    token = learner_token(settings)
    mentor = " ".join([f"--user {MENTOR}", *(f"--role {role.value}" for role in MENTOR_ROLES)])
    query = "{ me { name enrolments { edges { node { collection { name } completionPercentage } } } } }"
    urls = (settings.rows, settings.events, settings.cache, settings.groups)
    engines = ", ".join(map(shown, urls))
    typer.echo(f"""
Engines: {engines}; data in {settings.data}/

TOKEN={token}
curl {url}/graphql -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"query": "{query}"}}'

Dashboards need a mentor's token: cohort token {mentor}

Cohort is ready: {url}/ (Ctrl-C stops it)""")


def _kept_key(data: Path) -> str:
    """Of several processes that come here at once, the first one's key is everybody's: a link is made or is there."""
    path = data / KEY_FILE
    if not path.exists():
        private_folder(data)
        with NamedTemporaryFile("w", dir=data) as file:  # only its owner may read it: mode 0600
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text().strip()
