"""Ids as clients send them, and the rows they lead to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.errors import InvalidInput
from rules.identifiers import (
    CONTENT_SCOPES,
    ContextType,
    ViewKey,
    aggregate_context,
    checked_id,
    optional_id,
    parse_aggregate_context,
    scope_of,
    view_key,
)

IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        # Scenario 1 of R-VIEW-3: the content's id is in all three columns.
        ({"content_id": "x"}, ViewKey("u", "x", "x", "x")),
        ({"content_id": "x", "collection_id": "c"}, ViewKey("u", "c", "c", "x")),
        ({"content_id": "x", "collection_id": "c", "context_id": "b"}, ViewKey("u", "c", "b", "x")),
    ],
    ids=["individual content", "content in a collection", "collection with a context"],
)
def test_ids_that_are_left_out_default_as_the_three_scenarios_have_it(
    named: dict[str, str], expected: ViewKey
) -> None:
    assert view_key("u", **named) == expected


def test_a_context_needs_a_collection() -> None:
    with pytest.raises(InvalidInput) as refused:
        view_key("u", "x", None, "b")
    assert refused.value.field == "collectionId"


@pytest.mark.parametrize(
    "wrong", ["", "   ", "\t", "x" * 257, "a\x00b", "a\nb", "a\x1fb", "a\u2028b", "\ud800"]
)
@pytest.mark.parametrize("field", ["userId", "contentId", "collectionId", "contextId"])
def test_a_blank_long_or_unprintable_id_is_refused_by_name(wrong: str, field: str) -> None:
    named = {"userId": "u", "contentId": "x", "collectionId": "c", "contextId": "b", field: wrong}
    with pytest.raises(InvalidInput) as refused:
        view_key(*named.values())
    assert refused.value.field == field
    assert field in refused.value.message


def test_ids_lose_the_space_around_them_and_may_be_long() -> None:
    assert checked_id("  do_1 2 ", "contentId") == "do_1 2"
    assert checked_id("ü" * 256, "contentId") == "ü" * 256
    assert optional_id(None, "contextId") is None
    with pytest.raises(InvalidInput):
        checked_id(None, "contentId")


@given(IDS)
def test_a_content_alone_is_in_one_of_sixteen_buckets(content: str) -> None:
    buckets = {f"content:{number}" for number in range(16)}
    key = view_key("u", content)
    assert CONTENT_SCOPES == 16
    assert key.scope in buckets
    assert key.scope == view_key("v", content).scope


def test_no_bucket_grows_with_a_learners_life() -> None:
    """1600 contents are a hundred a bucket; none has twice that."""
    scopes = [view_key("u", f"do_{number}").scope for number in range(1600)]
    assert max(map(scopes.count, set(scopes))) < 200


@given(IDS, IDS)
def test_a_content_in_a_collection_is_in_the_collections_partition(collection: str, content: str) -> None:
    if collection != content:
        assert view_key("u", content, collection).scope == collection
    assert scope_of(collection) == collection


@given(st.sampled_from(ContextType), IDS)
def test_contexts_of_aggregate_rows_go_both_ways(kind: ContextType, context_id: str) -> None:
    assert parse_aggregate_context(aggregate_context(kind, context_id)) == (kind, context_id)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ContextType.BATCH, "cb:b1"),
        (ContextType.PROGRAM, "pr:b1"),
        (ContextType.EVENT, "ev:b1"),
        (ContextType.GROUP, "gr:b1"),
    ],
)
def test_contexts_are_written_as_the_platform_writes_them(kind: ContextType, expected: str) -> None:
    assert aggregate_context(kind, "b1") == expected


def test_an_id_with_a_colon_survives() -> None:
    assert parse_aggregate_context("cb:a:b") == (ContextType.BATCH, "a:b")
