"""Tokens of `cohort dev`: a signing key of its own, so that nobody has to make one to try Cohort, and the sample's people."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to try Cohort as. Only learners and the mentor are in the sample: a token needs no profile."""

    user: str
    roles: tuple[Role, ...]
    may: str
    """What a token of theirs is for, in a sentence."""

    @property
    def options(self) -> str:
        """The options of `cohort token` for a token of theirs."""
        return " ".join([f"--user {self.user}", *(f"--role {role.value}" for role in self.roles)])


LEARNER = Person("ada", (Role.LEARNER,), "Sees and changes what is their own.")
MENTOR = Person("mira", (Role.MENTOR, Role.REPORTER), "Sees every learner and the figures of all of them.")
REPORTER = Person("rita", (Role.REPORTER,), "Sees every learner and all figures, and asks for exhausts.")
AUTHOR = Person("carla", (Role.CREATOR,), "Edits drafts and publishes them.")
ADMIN = Person("amal", (Role.ADMIN,), "Sees every learner, and changes contexts, groups, contents.")
SERVICE = Person("backend", (Role.SERVICE,), "Another program, which acts for any learner.")
PEOPLE = (LEARNER, MENTOR, REPORTER, AUTHOR, ADMIN, SERVICE)


def with_development_key(settings: Settings) -> Settings:
    """The settings, with the key that is kept in the data directory if none is set. The first call makes that key."""
    if settings.jwt_key is not None:
        return settings
    return settings.model_copy(update={"jwt_key": SecretStr(_kept_key(settings.data))})


def with_kept_key(settings: Settings) -> Settings:
    """The settings, with the key that `cohort dev` keeps in the data directory, if there is one and none is set. So a link
    that a command signs is good at that gateway."""
    return with_development_key(settings) if (settings.data / KEY_FILE).exists() else settings


def token_of(settings: Settings, person: Person) -> str:
    """A token of the person, for a day."""
    return make_token(settings, person.user, person.roles, TOKEN_LIFE)


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
