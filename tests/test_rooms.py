"""Imports point only one way (R-RUN-3, docs/architecture.md), those inside functions too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT: dict[str, set[str]] = {
    "rules": set(),
    "stores": {"rules", "druid_specs"},
    "loaders": {"stores", "rules", "druid_specs"},
    "ingest": {"loaders", "stores", "rules", "druid_specs"},
    "resolvers": {"ingest", "loaders", "stores", "rules", "druid_specs"},
    "graph": {"resolvers", "druid_specs"},
    "druid_specs": set(),
    "stack": set(),
    "gateway": {"graph", "resolvers", "ingest", "loaders", "stores", "rules", "druid_specs", "stack"},
}
ROOMS = {*MAY_IMPORT, "tests", "bench"}
INGEST: dict[str, set[str]] = {
    "writes": set(),
    "modes": {"writes"},
    "calls": {"modes", "writes"},
    "commands": {"calls", "modes", "writes"},
    "workers": {"commands", "modes", "writes"},
    "jobs": {"workers", "commands", "modes", "writes"},
    "aggregation": set(),
    "importers": {"jobs", "commands", "calls", "writes"},
    "job_kinds": {"jobs", "importers"},
}
"""The rooms of ``ingest/`` and what each may import of the others."""
LIBRARIES_OF_ONE_ROOM = {
    "starlette": {"gateway"},
    "cassandra": {"stores", "stack"},
    "aiokafka": {"stores", "stack"},
    "redis": {"stores"},
    "sqlite3": {"stores"},
    "duckdb": {"stores"},
    "obstore": {"stores"},
    "pydruid": {"stores"},
    "httpx": {"stores"},
    "typer": {"gateway"},
}
"""A driver or a framework is known where it belongs, so that it can be changed there."""


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join([*base, node.module or ""]).rstrip(".")


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files(room)
        for line, module in imports(path)
        if module.split(".")[0] in ROOMS - allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("room", INGEST)
def test_a_room_of_ingest_imports_only_what_is_below_it(room: str) -> None:
    within = files(f"ingest/{room}") or [ROOT / "ingest" / f"{room}.py"]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in within
        for line, module in imports(path)
        if module.startswith("ingest.") and module.split(".")[1] not in INGEST[room] | {room}
    ]
    assert wrong == []


@pytest.mark.parametrize("library", LIBRARIES_OF_ONE_ROOM)
def test_a_library_stays_in_its_room(library: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for room in MAY_IMPORT.keys() - LIBRARIES_OF_ONE_ROOM[library]
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
    assert found <= ROOMS
    assert all(files(room) for room in MAY_IMPORT)
    within = {
        path.stem for path in (ROOT / "ingest").iterdir() if path.suffix == ".py" or any(path.glob("*.py"))
    }
    assert within - {"__init__"} == INGEST.keys()
