"""Errors name what a client gave: the variable, whatever the schema calls the argument or input field (R-MCP-4)."""

from typing import Any

import pytest
from graphql import FieldNode, parse

from graph.given_arguments import variable_at_fault, variables_given


def field(text: str) -> FieldNode:
    operation: Any = parse(f"query Q {{ {text} }}").definitions[0]
    found: FieldNode = operation.selection_set.selections[0]
    return found


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("a", {}),
        ("a(first: 5, id: $one)", {"id": "one"}),
        ("a(input: { id: $one, of: { name: $two } })", {"id": "one", "name": "two"}),
        ("a(query: { ids: [$one], by: [{ metric: $two }] })", {"ids": "one", "metric": "two"}),
        ("a(ids: [$one, $two])", {}),
        ("a(ids: [$one, $one])", {"ids": "one"}),
        ("a(of: $one) { b(id: $two) }", {"of": "one"}),
    ],
)
def test_a_field_says_which_variable_it_is_given_for_what(text: str, given: dict[str, str]) -> None:
    assert variables_given(field(text)) == given


def test_the_variable_at_fault_is_that_of_the_field_at_fault() -> None:
    """Two fields have an argument of the same name; the error is about one of them."""
    assert variable_at_fault([field("a(first: $most)")], "first") == "most"
    assert variable_at_fault([field("b(first: $learners)")], "first") == "learners"
    assert variable_at_fault([field("b(first: 500)")], "first") is None
