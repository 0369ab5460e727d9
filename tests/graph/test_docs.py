"""docs/api.md says what is true."""

import re
from pathlib import Path

import pytest
from graphql import parse, validate

from graph.errors import ERROR_CODES
from graph.limits import Limits
from graph.schema import schema
from resolvers.paging import MOST, USUAL

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
DOCUMENTS = re.findall(r"```graphql\n(.*?)```", TEXT, re.DOTALL)


def test_every_error_code_is_in_the_table() -> None:
    table = TEXT.split("## Errors")[1].split("## HTTP")[0]
    codes = re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)
    assert sorted(codes) == sorted(ERROR_CODES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_document_validates(document: str) -> None:
    assert validate(schema._schema, parse(document)) == []


def test_every_operation_has_an_example() -> None:
    roots = [schema._schema.query_type, schema._schema.mutation_type]
    names = [name for root in roots if root for name in root.fields]
    shown = "\n".join(DOCUMENTS)
    assert [name for name in names if not re.search(rf"\b{name}\b", shown)] == []


def test_limits_are_those_of_the_code() -> None:
    limits = Limits()
    assert f"({USUAL} unless told, at most {MOST})" in TEXT
    assert f"{limits.depth} fields deep, with {limits.aliases} aliases" in TEXT
    assert f"{limits.tokens:,} tokens" in TEXT
