"""The settings of an operator, and where each value came from. `docs/settings.md` lists them too; a test compares."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rules.errors import CohortError, InvalidInput
from rules.hierarchy import DEEPEST
from rules.periods import is_zone
from stores.urls import FORMS, check_store_url

PREFIX = "COHORT_"
CONFIG = "COHORT_CONFIG"
OTHERS = re.compile("COHORT_(CONFIG|LEGACY_PASSWORD|OULAD(_EVERY)?|EXAMPLES|STACK_.*)")
"""Environment variables of ours that are no settings: the name of the file, and those of migrations, tests and the stack."""
DEFAULT_FILE = Path("cohort.toml")
SHORTEST_KEY = 32
"""Bytes. HMAC-SHA256 needs so many to be as strong as its digest."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")
_PASSWORD = re.compile(r"(://[^:/@]*):.*@")
_QUERY_SECRET = re.compile(r"((?:password|secret|token|key)=)[^&]*", re.IGNORECASE)


class SettingsError(CohortError):
    """A setting is missing, unknown or wrong; the message names it and says what would be right."""

    code = "INVALID_SETTINGS"


def _split(value: object) -> object:
    """The list from a text such as ``a,b`` in the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _store_urls(value: str, info: ValidationInfo) -> str:
    assert info.field_name is not None  # noqa: S101 - it validates fields alone
    try:
        check_store_url(info.field_name, value)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return value


StoreUrl = Annotated[str, AfterValidator(_store_urls)]


def _hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _HOST.fullmatch(name):
            raise ValueError("each must be HOST or HOST:PORT, as it stands in a URL, without the rest of it")
    return names


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                "each must be an origin as browsers send it, such as https://app.example or http://localhost:3000: "
                "small letters, no path, no slash at the end; or * for any"
            )
    return origins


def _zone(name: str) -> str:
    if not is_zone(name):
        raise ValueError("must be a time zone of the IANA database, such as Asia/Kolkata or UTC")
    return name


def _strong(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < SHORTEST_KEY:
        raise ValueError(f"must have at least {SHORTEST_KEY} bytes; `openssl rand -hex 32` prints such a key")
    return key


class Settings(BaseSettings):
    """All settings. ``load_settings`` reads them, and refuses unknown names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    rows: StoreUrl = Field(
        default="sqlite:///rows.db",
        description="Where rows are: `sqlite:///FILE` under `data`, or `cassandra://USER:PASSWORD@HOST,HOST/KEYSPACE`",
    )
    events: StoreUrl = Field(
        default="embedded:", description="Where events are: `embedded:` or `kafka://HOST:PORT,HOST:PORT`"
    )
    cache: StoreUrl = Field(
        default="embedded:",
        description="Where the cache is: `embedded:`, shared by the processes of one `data`, or `redis://HOST:PORT/DB`",
    )
    groups: StoreUrl = Field(
        default="duckdb:///groups.duckdb",
        description="Where group queries go: `duckdb:///FILE` under `data`, or `druid://BROKER:PORT?coordinator=HOST:PORT`",
    )
    blobs: StoreUrl = Field(
        default="file:///blobs",
        description="Where files for download are: `file:///FOLDER` under `data`, which all gateways must share, or "
        "`s3://KEY:SECRET@BUCKET/FOLDER?region=…&endpoint=…`, `az://ACCOUNT:KEY@CONTAINER`, `gs://BUCKET`",
    )
    search: StoreUrl = Field(
        default="fts5:///search.db",
        description="Where collections and learners are searched for: `fts5:///FILE` under `data`, `opensearch://HOST:PORT`, or "
        "`opensearchs://USER:PASSWORD@HOST:PORT` for TLS",
    )
    prefix: str = Field(
        default="cohort",
        pattern=r"^[a-z][a-z0-9_-]{0,39}$",
        description="Begins the names of topics, cache keys, blobs and the search index, so that instances on the same servers don't meet",
    )
    data: Path = Field(
        default=Path(".cohort"), description="Directory of the embedded engines and of the development key"
    )
    jwt_key: Annotated[SecretStr, AfterValidator(_strong)] | None = Field(
        default=None,
        description="Signs and verifies bearer tokens; at least 32 bytes. `cohort dev` makes one of its own in `data`",
    )
    jwt_algorithms: Annotated[
        tuple[Literal["HS256", "HS384", "HS512"], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=("HS256",),
        min_length=1,
        description="Accepted algorithms; new tokens are signed with the first",
    )
    jwt_issuer: str | None = Field(default=None, description="If set, the `iss` that a token must have")
    jwt_audience: str | None = Field(default=None, description="If set, the `aud` that a token must have")
    host: str = Field(default="127.0.0.1", description="Address that the server listens on")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port that the server listens on; 0 for any free one"
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^?#]+)?$",
        description="Where clients reach the gateway, such as `https://cohort.example`: begins links to files in `blobs`; "
        "without it they are paths",
    )
    metric_links: bool = Field(default=False, description="Links to figures may be made; in dev always")
    allowed_origins: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_origins)
    ] = Field(
        default=(),
        description="Origins whose pages may call the gateway from a browser, such as `https://app.example`; `*` for any; "
        "of none without it. `cohort dev` also answers pages of this machine",
    )
    compressed_from: int = Field(
        default=1_000,
        ge=0,
        description="Bytes from which on an answer is compressed (gzip) for clients that accept it; 0 for never, where a "
        "proxy in front does it",
    )
    archive_copies: int = Field(
        default=536_870_912,
        gt=0,
        description="Bytes of files of the archive that a machine keeps copies of under `data`, each for 15 minutes at most",
    )
    link_ttl: float = Field(
        default=3600.0,
        ge=60,
        le=604_800,
        description="Seconds that a link to a file for download holds; then the file is deleted",
    )
    exhaust_ttl: float = Field(
        default=604_800.0,
        ge=3600,
        le=2_592_000,
        description="Seconds that the file of an exhaust is kept; each read of the exhaust gives a link that holds for `link_ttl`",
    )
    icon_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_hosts)] = Field(
        default=(),
        description="Hosts of which a publish fetches the icons of a collection and its units, with their port unless it is "
        "the usual one; of none without it: icons keep their URL",
    )
    largest_icon: int = Field(default=1_048_576, gt=0, description="Bytes that an icon may have")
    icon_timeout: float = Field(
        default=10.0, gt=0, description="Seconds that fetching an icon may take, redirections included"
    )
    icon_private_addresses: bool = Field(
        default=False,
        description="Whether an icon's host may be this machine or in a private network",
    )
    request_timeout: float = Field(
        default=10.0, gt=0, description="Seconds after which a request stops waiting for its stores"
    )
    largest_body: int = Field(
        default=1_048_576, gt=0, description="Bytes a request may have; larger ones are refused unread"
    )
    answers_ttl: float = Field(
        default=60.0,
        ge=0,
        description="Seconds that the answer to a group query is given again without a new query",
    )
    answers_kept: float = Field(
        default=86_400.0,
        gt=0,
        description="Seconds that such an answer may still be given, with its age, while the groups store is away or slow",
    )
    mode: Literal["query", "batch"] = Field(
        default="query",
        description="Whether group figures are computed when asked for or taken from the last aggregation; "
        "a request may ask for the other",
    )
    tracking_mode: Literal["strict", "carry-forward-full", "carry-forward-collection", "copy", "move"] = (
        Field(
            default="strict",
            description="What a view counts for beyond the context it was taken in (docs/modes.md); "
            "`cohort modes change` changes it once there is data",
        )
    )
    tracking_rules: str | None = Field(
        default=None,
        description="JSON: which completions elsewhere count, in the modes copy and move (docs/modes.md)",
    )
    day_zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC",
        description="Time zone of the IANA database whose clocks say which day a moment is in, for active "
        "learners; days that were noted before it was changed stay as they were",
    )
    group_members: int = Field(default=150, gt=0, description="Members that a group of learners may have")
    group_activities: int = Field(
        default=20, gt=0, description="Activities that a group of learners may have"
    )
    deepest_collection: int = Field(
        default=DEEPEST,
        ge=2,
        le=DEEPEST,
        description="Levels that a collection may have, the root among them",
    )
    largest_collection: int = Field(
        default=20_000,
        gt=0,
        description="Nodes that a collection may have when it is edited, each counted wherever it stands",
    )
    groups_per_learner: int = Field(default=50, gt=0, description="Groups that a learner may be in")
    worker_batch: int = Field(default=2000, gt=0, description="Events that a worker takes at a time, at most")
    worker_wait: float = Field(
        default=0.1, gt=0, description="Seconds that a worker waits for a batch to fill"
    )
    assessed_leaves_only: bool = Field(
        default=True,
        description="Whether an attempt at a content that is no leaf of its collection goes to the dead letters",
    )
    assessed_within_total: bool = Field(
        default=False,
        description="Whether an attempt with more questions than its content's `totalQuestions` goes to the dead letters",
    )
    aggregate_every: float = Field(
        default=60.0,
        ge=0,
        description="Seconds between two runs of the aggregation in a worker; 0 for none. `cohort dev` takes 10",
    )
    archive_after: float = Field(
        default=90.0,
        ge=0,
        description="Days after which an attempt that was not updated is archived: its questions go to a file in `blobs`",
    )
    archive_every: float = Field(
        default=604_800.0,
        ge=0,
        description="Seconds from the end of one run of the archive in a worker to the next, of all workers together; 0 for none",
    )
    archive_format: Literal["parquet", "csv.gz"] = Field(
        default="parquet", description="How the archive's files are written"
    )
    static: Path | None = Field(
        default=None,
        description="Directory into which the aggregation writes static files for an edge; none are written without it",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged; `debug` shows stack traces of commands, too"
    )
    explorer: Literal["off", "authenticated", "open"] = Field(
        default="off",
        description="Start page, GraphiQL and the reference of REST: for nobody, for who has a token, for everybody. `cohort dev` has them open",
    )
    dev: bool = Field(
        default=False,
        description="Pages for a browser with tokens for everybody, and a worker in the server's process",
    )

    @property
    def stores(self) -> dict[str, str]:
        """The URLs of the stores, by kind."""
        return {kind: getattr(self, kind) for kind in FORMS}

    @property
    def signing_key(self) -> str:
        """The key that signs tokens. SettingsError if there is none."""
        if self.jwt_key is None:
            raise SettingsError(
                "COHORT_JWT_KEY is not set: without it no token can be checked; `openssl rand -hex 32` prints a key",
                field="jwt_key",
            )
        return self.jwt_key.get_secret_value()


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
