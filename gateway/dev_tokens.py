"""Tokens of `cohort dev`: a signing key of its own, so that nobody has to make one to try Cohort, and the sample's people."""

import os
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import SecretStr

from gateway.identity import make_token
from gateway.settings import Settings
from rules.viewers import Role
from stores.private import private_folder

KEY_FILE = "jwt.key"
TOKEN_LIFE = timedelta(hours=24)
MENTOR_ROLES = (Role.MENTOR, Role.REPORTER)


def with_development_key(settings: Settings) -> Settings:
    """The settings, with the key that is kept in the data directory if none is set. The first call makes that key."""
    if settings.jwt_key is not None:
        return settings
    return settings.model_copy(update={"jwt_key": SecretStr(_kept_key(settings.data))})


def with_kept_key(settings: Settings) -> Settings:
    """The settings, with the key that `cohort dev` keeps in the data directory, if there is one and none is set. So a link
    that a command signs is good at that gateway."""
    return with_development_key(settings) if (settings.data / KEY_FILE).exists() else settings


def first_learner() -> str:
    """The user id of the sample's first learner."""
    from ingest.importers.sample import (
        FIRST_LEARNER,  # it takes long to import: too long for `cohort token --user`
    )

    return FIRST_LEARNER


def learner_token(settings: Settings) -> str:
    """A token of the sample's first learner."""
    return make_token(settings, first_learner(), [Role.LEARNER], TOKEN_LIFE)


def mentor_token(settings: Settings) -> str:
    """A token of the sample's mentor, who may see every learner and the figures of all of them."""
    from ingest.importers.sample import MENTOR

    return make_token(settings, MENTOR, MENTOR_ROLES, TOKEN_LIFE)


def _kept_key(data: Path) -> str:
    """The key in the data directory. If several processes make one at the same time, all get that of the first."""
    path = data / KEY_FILE
    if not path.exists():
        private_folder(data)
        with NamedTemporaryFile("w", dir=data) as file:  # only its owner may read it: mode 0600
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)
    return path.read_text().strip()
