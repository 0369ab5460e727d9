"""Whatever code and docs cite is there: numbered sections, links, modules and tests (docs/requirements.md)."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
THIS = Path(__file__).resolve()
REQUIREMENTS = ROOT / "docs" / "requirements.md"
PLATFORM = ROOT / "docs" / "platform.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
DECISIONS = ROOT / "docs" / "decisions.md"
PUBLIC_SCHEMA = ROOT / "graph" / "schema.graphql"
CITATION = re.compile(r"\b(?:R-[A-Z]+-\d+|P-\d+\.\d+|D-[A-Z]{2,}(?:-[A-Z]+)*)\b")
"""``R-VIEW-1`` of the requirements, ``P-2.4`` of the platform, ``D-ERASURE`` of the decisions (a section's anchor)."""
OUTSIDE = re.compile(r"\bseeds? 0|\breference,? \d|\bdesign, sections?|\(issue:", re.IGNORECASE)
"""Texts that no reader has."""
NUMBERED = re.compile(r"^### (R-[A-Z]+-\d+|P-\d+\.\d+) ", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
NAME = re.compile(r"\[`(?:[a-z_]+\.)*([A-Za-z_]+)`\]\(\.\./([\w/]+\.py)\)")
"""``[`View`](../rules/views.py)``: a name and the module that defines it."""
PATH = re.compile(
    r"\b(?:rules|stores|loaders|ingest|resolvers|graph|gateway|druid_specs|stack|tests|docs|bench)"
    r"/[a-z_/]+\.(?:py|md|graphql)\b"
)
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@cache
def files() -> tuple[Path, ...]:
    """Whatever of the repository a person writes: code, documents, the schema."""
    patterns = ["*.py", "*.md", "*.graphql", "*.toml", "*.json"]
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return tuple(path for name in names if (path := ROOT / name).is_file() and path != THIS)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def found(pattern: re.Pattern[str], paths: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    """(file and line, what was found there)."""
    for path in paths:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for match in pattern.finditer(line):
                yield f"{path.relative_to(ROOT)}:{number}", match.group()


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: lower case, no punctuation, hyphens for spaces."""
    headings = HEADING.findall(CODE_BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def sections() -> set[str]:
    numbered = [number for page in (REQUIREMENTS, PLATFORM) for number in NUMBERED.findall(page.read_text())]
    assert len(numbered) == len(set(numbered)), "a number stands for one section"
    return {*numbered, *(f"D-{anchor.upper()}" for anchor in anchors(DECISIONS))}


def test_every_citation_leads_to_a_section() -> None:
    known = sections()
    assert [(where, cited) for where, cited in found(CITATION, files()) if cited not in known] == []


def test_no_text_outside_of_the_repository_is_cited() -> None:
    assert list(found(OUTSIDE, files())) == []


def test_every_file_that_is_named_exists() -> None:
    assert [(where, name) for where, name in found(PATH, files()) if not (ROOT / name).is_file()] == []


def test_the_public_schema_says_the_thing_itself() -> None:
    assert list(found(CITATION, (PUBLIC_SCHEMA,))) == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_section(page: Path) -> None:
    wrong = []
    for target in LINK.findall(CODE_BLOCK.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            wrong.append(target)
    assert wrong == []


def test_every_requirement_that_is_built_names_where_and_what_proves_it() -> None:
    text = REQUIREMENTS.read_text()
    for section in re.split(r"^#{2,3} ", text, flags=re.MULTILINE)[1:]:
        if not section.startswith("R-"):
            continue
        built = "**Not built yet.**" not in section
        assert ("- Where: [" in section) is built, section
        assert (TEST.search(section) is not None) is built, section


def test_every_test_that_is_named_exists() -> None:
    missing = [
        f"{name}::{test}"
        for page in pages()
        for name, test in TEST.findall(page.read_text())
        if test not in functions(name)
    ]
    assert missing == []


def test_every_name_of_the_glossary_is_in_its_module() -> None:
    named = NAME.findall(GLOSSARY.read_text())
    assert named
    assert [(name, path) for name, path in named if name not in definitions(path)] == []


@cache
def definitions(name: str) -> frozenset[str]:
    """Whatever a module defines at its top level."""
    found: set[str] = set()
    for node in ast.parse((ROOT / name).read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


@cache
def functions(name: str) -> frozenset[str]:
    """Of a module, those in classes too."""
    tree = ast.parse((ROOT / name).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))
