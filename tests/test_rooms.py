"""Imports point only one way, those inside functions too, and never in a circle."""

import ast
from collections.abc import Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INGEST: dict[str, set[str]] = {
    "writes": set(),
    "modes": {"writes"},
    "calls": {"modes", "writes"},
    "commands": {"calls", "modes", "writes"},
    "workers": {"commands", "modes", "writes"},
    "attempts": {"workers", "modes", "writes"},
    "jobs": {"workers", "commands", "modes", "writes"},
    "aggregation": {"writes", "phases"},
    "archival": {"jobs", "writes", "phases"},
    "learner_index": {"jobs", "workers", "writes"},
    "publishing": {"jobs", "workers", "commands", "modes", "writes"},
    "exhausts": {"jobs", "commands", "writes"},
    "importers": {"publishing", "jobs", "commands", "calls", "writes", "phases"},
    "job_kinds": {"archival", "jobs", "learner_index", "publishing", "exhausts", "importers"},
    "phases": set(),
    "schedule": set(),
}
"""The rooms of ``ingest/`` and what each may import of the others."""
GRAPH_BASICS = {f"graph/{module}" for module in ("access", "errors", "fields", "info", "scalars")}
"""What of ``graph/`` is of no noun, and stands below what answers."""
BELOW_INGEST = {"loaders", "stores", "rules", "druid_specs", "telemetry"}
MAY_IMPORT: dict[str, set[str]] = {
    "rules": set(),
    "telemetry": set(),
    "stores": {"rules", "druid_specs", "telemetry"},
    "loaders": {"stores", "rules", "druid_specs", "telemetry"},
    "ingest": BELOW_INGEST,
    **{f"ingest/{room}": BELOW_INGEST | {f"ingest/{one}" for one in of} for room, of in INGEST.items()},
    "resolvers": {"ingest", "loaders", "stores", "rules", "druid_specs"},
    "graph": {"resolvers", "druid_specs", "telemetry"},
    "graph/execution": {*GRAPH_BASICS, "resolvers", "telemetry"},
    "graph/documents": {"graph/execution", "graph/errors", "resolvers"},
    "druid_specs": set(),
    "stack": set(),
    "gateway": {
        "graph",
        "resolvers",
        "ingest",
        "loaders",
        "stores",
        "rules",
        "druid_specs",
        "stack",
        "telemetry",
    },
    "gateway/http": {"resolvers", "stores", "rules", "telemetry"},
    "gateway/rest": {"resolvers"},
    "gateway/rest/tables": {"gateway/rest/framework", "gateway/http", "graph", "resolvers"},
    "gateway/rest/framework": {"gateway/http", "resolvers", "telemetry"},
    "gateway/rest/nouns": {"gateway/rest/framework", "resolvers"},
}
"""What each room may import: rooms, rooms within rooms, or single modules, all by path.

A file belongs to the longest path here that it is in. It may import its own room, and whatever is in an allowed path.
"""
CLOSES_A_CIRCLE: set[tuple[str, str]] = {
    ("graph/activity_members", "graph/learners"),
    ("graph/collections", "graph/contexts"),
    ("graph/collections", "graph/contexts_of_people"),
    ("graph/context_rosters", "graph/contexts"),
    ("graph/context_rosters", "graph/enrolments"),
    ("graph/context_rosters", "graph/learners"),
    ("graph/contexts_of_people", "graph/learners"),
    ("graph/group_activities", "graph/learners"),
    ("graph/views", "graph/view_places"),
    ("graph/group_lists", "graph/learners"),
    ("graph/group_members", "graph/learners"),
}
"""Importer and imported, where a circle is meant: types of the schema that refer to each other."""
ROOMS = {*(room.partition("/")[0] for room in MAY_IMPORT), "tests", "bench"}
LIBRARIES_OF_ONE_ROOM = {
    "starlette": {"gateway"},
    "cassandra": {"stores", "stack"},
    "aiokafka": {"stores", "stack"},
    "redis": {"stores"},
    "sqlite3": {"stores"},
    "duckdb": {"stores"},
    "obstore": {"stores"},
    "opensearchpy": {"stores"},
    "pydruid": {"stores"},
    "fastjsonschema": {"rules"},
    "stream_zip": {"stores"},
    "httpcore": {"stores"},
    "httpx": {"stores"},
    "typer": {"gateway"},
    "prometheus_client": {"telemetry"},
    "opentelemetry": {"telemetry"},
    "mcp": {"gateway"},
    "mcp_types": {"gateway"},
}
"""A driver or a framework is known where it belongs, so that it can be changed there."""


def files(room: str) -> list[Path]:
    """The files in a room, those of its inner rooms too. A room may be a single module."""
    module = ROOT / f"{room}.py"
    return [module] if module.exists() else sorted((ROOT / room).rglob("*.py"))


def is_in(path: str, room: str) -> bool:
    return path == room or path.startswith(f"{room}/")


def room_of(path: str) -> str | None:
    """The innermost room that a file or a module is in; None outside all of them."""
    return max((room for room in MAY_IMPORT if is_in(path, room)), key=len, default=None)


def name_of(file: Path) -> str:
    """The module's path, such as ``gateway/rest/routes``; that of a package is its folder."""
    relative = file.relative_to(ROOT).with_suffix("")
    return str(relative.parent if relative.name == "__init__" else relative)


def path_of(module: str) -> str:
    return module.replace(".", "/")


MODULES = {name_of(file): file for room in MAY_IMPORT if "/" not in room for file in files(room)}


@cache
def imports(file: Path) -> Sequence[tuple[int, str]]:
    """Line and module of each import. ``from package import module`` is one of the module."""
    package = file.relative_to(ROOT).parts[:-1]
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, node.module or ""]).rstrip(".")
            inner = [f"{origin}.{alias.name}" for alias in node.names]
            found += [(node.lineno, one if path_of(one) in MODULES else origin) for one in inner]
    return found


def wrong_imports(room: str) -> list[str]:
    allowed = MAY_IMPORT[room] | {room}
    return [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in files(room)
        if room_of(name_of(file)) == room
        for line, module in imports(file)
        if module.partition(".")[0] in ROOMS and not any(is_in(path_of(module), path) for path in allowed)
    ]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    assert wrong_imports(room) == []


def test_an_import_that_a_room_may_not_have_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inner room is held to its own line, not to that of the room around it."""
    monkeypatch.setitem(MAY_IMPORT, "gateway/rest/nouns", {"resolvers"})
    assert any("imports gateway.rest.framework" in wrong for wrong in wrong_imports("gateway/rest/nouns"))
    assert wrong_imports("gateway") == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    imported = {
        name: {path_of(module) for _, module in imports(file)} & MODULES.keys()
        for name, file in MODULES.items()
    }
    for importer, closing in CLOSES_A_CIRCLE:
        imported[importer].remove(closing)
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("library", LIBRARIES_OF_ONE_ROOM)
def test_a_library_stays_in_its_room(library: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for room in ROOMS - {"tests", "bench"} - LIBRARIES_OF_ONE_ROOM[library]
        for path in files(room)
        for line, module in imports(path)
        if f"{module}.".startswith(f"{library}.")
    ]
    assert wrong == []


def test_the_domain_reads_no_clock_and_does_no_input_or_output() -> None:
    """rules/ are pure: the time is an argument."""
    forbidden = {"asyncio", "time", "random", "os", "pathlib", "socket", "logging", "uuid", "threading"}
    wrong = []
    for path in files("rules"):
        wrong += [
            f"{path.name}:{line} {name}" for line, name in imports(path) if name.split(".")[0] in forbidden
        ]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                wrong.append(f"{path.name}:{node.lineno} reads the clock")
    assert wrong == []


def test_every_room_is_known() -> None:
    """A new folder with code in it needs a line in the table."""
    found = {path.parent.name for path in ROOT.glob("*/*.py") if not path.parent.name.startswith(".")}
    assert found - {"docs"} <= ROOMS  # how the site is built is no part of Cohort
    assert all(files(room) for room in MAY_IMPORT)
    within = {
        path.stem for path in (ROOT / "ingest").iterdir() if path.suffix == ".py" or any(path.glob("*.py"))
    }
    assert within - {"__init__"} == INGEST.keys()
