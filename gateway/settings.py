"""The settings of an operator, and where each value came from. `docs/settings.md` lists them too, in the same order; a test
compares."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.setting_sections.documents import DocumentSettings
from gateway.setting_sections.files import FileSettings
from gateway.setting_sections.identity import IdentitySettings
from gateway.setting_sections.learning import LearningSettings
from gateway.setting_sections.limits import LimitSettings
from gateway.setting_sections.privacy import PrivacySettings
from gateway.setting_sections.serving import ServingSettings
from gateway.setting_sections.stores import StoreSettings
from gateway.setting_sections.values import SettingsError as SettingsError
from gateway.setting_sections.watching import WatchingSettings
from gateway.setting_sections.working import WorkerSettings

PREFIX = "COHORT_"
CONFIG = "COHORT_CONFIG"
PROCESSES = "COHORT_PROCESSES"
"""The variable in which `cohort serve` tells its processes how many they are."""
OTHERS = re.compile("COHORT_(CONFIG|PROCESSES|LEGACY_PASSWORD|OULAD(_EVERY)?|EXAMPLES|STACK_.*)")
"""Environment variables of ours that are no settings: the name of the file, and those of migrations, tests and the stack."""
DEFAULT_FILE = Path("cohort.toml")

_PASSWORD = re.compile(r"(://[^:/@]*):.*@")
_QUERY_SECRET = re.compile(r"((?:password|secret|token|(?<![?&])key)=)[^&]*", re.IGNORECASE)
"""An option that is called ``key`` alone names a file (stores/certificates.py)."""


class Settings(
    WatchingSettings,
    WorkerSettings,
    LearningSettings,
    PrivacySettings,
    DocumentSettings,
    LimitSettings,
    FileSettings,
    ServingSettings,
    IdentitySettings,
    StoreSettings,
    BaseSettings,
):
    """All settings, those of the last section first. ``load_settings`` reads them, and refuses unknown names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and in ``origins`` where the value of each came from."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(**given: Any) -> Settings:
    """The settings of this process. Those in ``given``, from the command line, win unless they are None."""
    return load(given).settings


def load(given: Mapping[str, Any] | None = None) -> Loaded:
    """The settings: what is given, else the environment, else the file COHORT_CONFIG or ./cohort.toml, else the default.

    SettingsError names what is unknown, with the nearest known name, or what is wrong, and where it was set.
    """
    given = {name: value for name, value in (given or {}).items() if value is not None}
    path, of_file = _read_file()
    of_environment = _environment_names()
    origins = dict.fromkeys(Settings.model_fields, "default")
    origins |= dict.fromkeys(of_file, str(path))
    origins |= {name: f"environment, {PREFIX}{name.upper()}" for name in of_environment}
    origins |= dict.fromkeys(given, "command line")
    left = {name: value for name, value in of_file.items() if name not in of_environment}
    try:
        return Loaded(Settings(**{**left, **given}), origins)
    except ValidationError as error:
        raise SettingsError(_told(error, origins)) from None


def shown(value: object) -> str:
    """The value as TOML. Secrets and passwords in URLs are masked."""
    match value:
        case None:
            return '""'
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case SecretStr():
            return '"***"'
        case tuple():
            return f"[{', '.join(map(shown, value))}]"
        case _:
            text = _QUERY_SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", str(value)))
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read_file() -> tuple[Path, dict[str, Any]]:
    path = Path(os.environ.get(CONFIG) or DEFAULT_FILE)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if os.environ.get(CONFIG):
            raise SettingsError(f"{CONFIG} names {path}, which does not exist") from None
        return path, {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from None
    for name in values:
        if name not in Settings.model_fields:
            raise SettingsError(f"{path}: {name} is no setting{_nearest(name, Settings.model_fields)}")
    return path, {name: value for name, value in values.items() if value != ""}


def _environment_names() -> set[str]:
    """The settings that have a value in the environment. Case does not matter in the names of its variables."""
    known = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    names = set()
    for variable, value in os.environ.items():
        upper = variable.upper()
        if not upper.startswith(PREFIX) or OTHERS.fullmatch(upper):
            continue
        if upper not in known:
            raise SettingsError(f"the environment's {variable} is no setting{_nearest(upper, known)}")
        if value:
            names.add(known[upper])
    return names


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; do you mean {near[0]}?" if near else "; `cohort settings` lists them all"


def _told(error: ValidationError, origins: Mapping[str, str]) -> str:
    """A sentence for each problem: the setting, and where it was set. The value is left out: it may be a secret."""
    problems = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(problem["loc"][0])
        message = problem["msg"].removeprefix("Value error, ")
        problems.append(f"{name} ({origins[name]}): {message[0].lower()}{message[1:]}")
    return "; ".join(problems)
