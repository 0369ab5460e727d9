"""The URLs that name the engines: their forms, and what is wrong with one. Needs no driver, so that settings can be checked
when they are read."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from rules.errors import InvalidInput
from stores.certificates import OPTIONS as CERTIFICATES

FORMS: Mapping[str, Mapping[str, str]] = {
    "rows": {
        "sqlite": "sqlite:///FILE",
        "cassandra": "cassandra://USER:PASSWORD@HOST,HOST:PORT/KEYSPACE?dc=DATACENTER&replication=N",
        "cassandras": "cassandras://USER:PASSWORD@HOST,HOST:PORT/KEYSPACE?dc=DATACENTER&replication=N&ca=FILE&cert=FILE&key=FILE",
    },
    "events": {
        "embedded": "embedded:",
        "kafka": "kafka://USER:PASSWORD@HOST:PORT,HOST:PORT?sasl=SCRAM-SHA-512",
        "kafkas": "kafkas://USER:PASSWORD@HOST:PORT,HOST:PORT?sasl=SCRAM-SHA-512&ca=FILE&cert=FILE&key=FILE",
    },
    "cache": {
        "embedded": "embedded:",
        "redis": "redis://USER:PASSWORD@HOST:PORT/DB",
        "rediss": "rediss://USER:PASSWORD@HOST:PORT/DB?ca=FILE&cert=FILE&key=FILE",
        "unix": "unix://PATH",
    },
    "groups": {
        "duckdb": "duckdb:///FILE",
        "druid": "druid://USER:PASSWORD@BROKER:PORT?coordinator=HOST:PORT&kafka=HOST:PORT&kafka_env=PROPERTY:VARIABLE&mirror=STATES",
        "druids": "druids://USER:PASSWORD@BROKER:PORT?coordinator=HOST:PORT&kafka=HOST:PORT&kafka_env=PROPERTY:VARIABLE&mirror=STATES&ca=FILE",
    },
    "blobs": {
        "file": "file:///FOLDER",
        "s3": "s3://KEY:SECRET@BUCKET/FOLDER?endpoint=URL&region=REGION&ca=FILE",
        "az": "az://ACCOUNT:KEY@CONTAINER",
        "gs": "gs://BUCKET",
    },
    "search": {
        "fts5": "fts5:///FILE",
        "opensearch": "opensearch://USER:PASSWORD@HOST:PORT",
        "opensearchs": "opensearchs://USER:PASSWORD@HOST:PORT?ca=FILE&cert=FILE&key=FILE",
    },
}
"""By setting and scheme; one that ends in ``s`` is with TLS. Options behind ``?`` may be left out, and so may a user, a
password and a port that is the usual one."""
SASL = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
"""How Kafka may be shown a password."""

_FILES = frozenset({"sqlite", "duckdb", "file", "fts5"})
_USUAL = {
    "rows": "rows.db",
    "events": "events.db",
    "groups": "groups.duckdb",
    "blobs": "blobs",
    "search": "search.db",
}
"""The file or folder of each embedded engine whose URL names none."""
_LISTS = frozenset({"cassandra", "cassandras", "kafka", "kafkas"})
"""Schemes with several hosts."""
_PLAIN = {
    "cassandra": {"dc", "replication"},
    "druid": {"coordinator", "kafka", "kafka_env", "mirror"},
    "kafka": {"sasl"},
    "opensearch": set[str](),
    "redis": {"db", "protocol"},
}
_OPTIONS: Mapping[str, frozenset[str]] = {
    **{scheme: frozenset(options) for scheme, options in _PLAIN.items()},
    **{f"{scheme}s": CERTIFICATES | options for scheme, options in _PLAIN.items()},
}
"""The options of schemes that know all of theirs."""


def check_store_url(setting: str, url: str) -> None:
    """InvalidInput says what is wrong with the URL, and which forms there are. The URL itself is not told: it may hold a
    password."""
    forms = FORMS[setting]
    scheme = url.partition(":")[0]
    if ":" not in url or scheme not in forms:
        raise InvalidInput(f"must be {' or '.join(forms.values())}", field=setting)
    if wrong := _fault(scheme, url):
        raise InvalidInput(f"{wrong}: must be {forms[scheme]}", field=setting)


def is_embedded(url: str) -> bool:
    """Whether the URL names an engine that runs within Cohort's own processes."""
    return url.partition(":")[0] in _FILES | {"embedded"}


def embedded_path(setting: str, url: str) -> str:
    """The file or folder of an embedded engine, seen from the folder ``data``. That of a URL with four slashes is absolute."""
    return url.partition(":")[2].removeprefix("//").removeprefix("/") or _USUAL[setting]


def mirrored_states(url: str) -> int:
    """The most states of which the groups store's URL asks for a mirror on this machine; 0 for none."""
    return int(dict(parse_qsl(urlsplit(url).query)).get("mirror", "0"))


def learner_index_path(path: Path) -> Path:
    """The file of the learner index, which is beside that of the search."""
    return path.with_stem(f"{path.stem}-learners")


def _fault(scheme: str, url: str) -> str | None:
    if scheme == "embedded":
        return None if url == "embedded:" else "nothing stands behind embedded:"
    try:
        parts = urlsplit(url)
    except ValueError as error:  # a bracket that does not close
        return str(error)
    if scheme in _FILES:
        return "a file is named behind three slashes" if parts.netloc else None
    if scheme == "unix":
        return None if parts.path else "the path is missing"
    options = dict(parse_qsl(parts.query))
    if unknown := options.keys() - _OPTIONS.get(scheme, options.keys()):
        secure = f": certificates are for {scheme}s://" if unknown & CERTIFICATES else ""
        return f"{min(unknown)} is no option{secure}"
    if wrong := _fault_of_options(options):
        return wrong
    addresses = [value for name, value in options.items() if name in ("coordinator", "kafka")]
    return _fault_of_hosts(scheme, parts, addresses)


def _fault_of_options(options: Mapping[str, str]) -> str | None:
    if "key" in options and "cert" not in options:
        return "a key needs its cert"
    if options.get("sasl", SASL[0]) not in SASL:
        return f"sasl is {', '.join(SASL[:-1])} or {SASL[-1]}"
    for pair in options.get("kafka_env", "a:b").split(","):
        if not all(part.strip() for part in pair.partition(":")):
            return "kafka_env is a list of PROPERTY:VARIABLE"
    if not _is_count(options.get("mirror", "0")):
        return "mirror is a number of states"
    return None


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _fault_of_hosts(scheme: str, parts: SplitResult, others: list[str]) -> str | None:
    where = parts.netloc.rpartition("@")[2]
    hosts = where.split(",") if scheme in _LISTS else [where]
    for address in [*hosts, *(one for other in others for one in other.split(","))]:
        host, _, port = address.rpartition(":") if _has_port(address) else (address, "", "")
        if not host:
            return "a host is missing"
        if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            return "a port is a number from 1 to 65535"
    return None


def _has_port(address: str) -> bool:
    """An address in brackets is IPv6, whose colons part no port."""
    return ":" in address.rpartition("]")[2]
