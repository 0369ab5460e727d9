"""docs/ says what is true: every document validates, every command is there, the API's page is complete."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from graphql import parse, validate

from gateway.cli import app
from graph.documents.limits import Limits
from graph.errors import ERROR_CODES
from graph.execution.upstream import core_schema
from graph.reference import write_schema_pages
from graph.schema import schema
from graph.subgraph import subgraph_of
from resolvers.paging import MOST, USUAL

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
    *sorted((ROOT / "docs" / "recipes").glob("*.md")),
]
TEXT = (ROOT / "docs" / "api.md").read_text()


def blocks(*languages: str, pages: Sequence[Path] = PAGES) -> list[Any]:
    """The code blocks of these languages, each with the page that it is on."""
    fence = re.compile(rf"```(?:{'|'.join(languages)})\n(.*?)```", re.DOTALL)
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in pages
        for number, block in enumerate(fence.findall(page.read_text()), 1)
    ]


DOCUMENTS = re.findall(r"```graphql\n(.*?)```", TEXT, re.DOTALL)


def test_every_error_code_is_in_the_table() -> None:
    table = TEXT.split("## Errors")[1].split("## HTTP")[0]
    codes = re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)
    assert sorted(codes) == sorted(ERROR_CODES)


@pytest.mark.parametrize("document", blocks("graphql"))
def test_every_document_validates(document: str) -> None:
    assert validate(schema._schema, parse(document)) == []


@pytest.mark.parametrize("script", blocks("", "shell", "sh", "bash"))
def test_every_command_is_there_with_its_options(script: str) -> None:
    for words in _calls(script):
        command: Any = typer.main.get_command(app)
        for word in words:
            if word.startswith("-"):
                known = {option for parameter in command.params for option in parameter.opts}
                assert re.split(r"[=:]", word)[0] in known, (command.name, word)
            elif hasattr(command, "get_command"):
                found = command.get_command(typer.Context(command), word)
                assert found is not None, (command.name, word)
                command = found


def _calls(script: str) -> Iterator[list[str]]:
    """The words behind each `cohort` in the script, up to what ends the command. What a reader puts in by themselves, such as
    DIR or …, stands where an argument does."""
    lines = re.sub(r"\\\n", " ", script).splitlines()
    for line in lines:
        for call in re.findall(r"(?:^|[\s(])(?:\.venv/bin/)?cohort ([^#|&;)]*)", line.partition(" #")[0]):
            yield [word for word in call.split() if not re.match(r"[\"'$<>…]", word)]


def test_the_reference_by_noun_has_every_type_and_call(tmp_path: Path) -> None:
    write_schema_pages(tmp_path)
    told = "\n".join(page.read_text() for page in tmp_path.glob("*.md"))
    headings = set(re.findall(r"^## \w+ `(\w+)`$", told, re.MULTILINE))
    whole = core_schema(subgraph_of(Limits()))
    types = {name for name in whole.type_map if not name.startswith("__")}
    calls = {name for root in ("Query", "Mutation") for name in whole.type_map[root].fields}  # type: ignore[attr-defined]
    assert headings == types - {"Query", "Mutation"} | calls
    pages = {page.stem for page in tmp_path.glob("*.md")} - {"index"}
    listed = re.search(r"maxdepth: 1\n\n(.*?)\n```", (tmp_path / "index.md").read_text(), re.DOTALL)
    assert listed is not None
    assert set(listed[1].splitlines()) == pages


def test_every_page_is_on_the_site() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    names = {str(page.relative_to(ROOT / "docs").with_suffix("")) for page in PAGES[1:]} - {"index"}
    assert names - set(index.split()) == set()


def test_every_operation_has_an_example() -> None:
    roots = [schema._schema.query_type, schema._schema.mutation_type]
    names = [name for root in roots if root for name in root.fields]
    shown = "\n".join(DOCUMENTS)
    assert [name for name in names if not re.search(rf"\b{name}\b", shown)] == []


DOCUMENT_LIMITS = (
    "longest_document",
    "most_tokens",
    "most_operations",
    "most_fields",
    "deepest",
    "most_aliases",
    "most_root_fields",
    "most_directives",
    "most_schema_values",
    "most_errors",
)


def test_limits_are_those_of_the_code() -> None:
    limits = Limits()
    assert f"({USUAL} unless told, at most {MOST})" in TEXT
    for name in DOCUMENT_LIMITS:
        assert re.search(rf"^\| `{name}` \| {getattr(limits, name):,} \|", TEXT, re.MULTILINE), name
