import pytest

from gateway.http.media_types import is_json, preferred

JSON, GRAPHQL = "application/json", "application/graphql-response+json"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/json; charset=utf-16", False),
        ("text/plain; a=application/json", False),
        ("application/jsonp", False),
        ("application/json-patch+json", False),
        ("text/plain", False),
        ("", False),
        (None, False),
    ],
)
def test_a_body_is_json_by_its_type_alone(content_type: str | None, expected: bool) -> None:
    assert is_json(content_type) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, application/json;q=0.9", GRAPHQL),
        (f"application/json;q=0.9, {GRAPHQL}", GRAPHQL),
        (f"application/json, {GRAPHQL}", JSON),
        (f"{GRAPHQL.upper()}; charset=utf-8", GRAPHQL),
        (f"{GRAPHQL};q=0, */*;q=0.1", JSON),
        ("application/json;q=0, */*", GRAPHQL),
        (f"text/plain; a={GRAPHQL}", None),
        ("text/html, image/*", None),
        ("application/json;q=x", None),
        (f"{JSON};q=0.5, {JSON}", JSON),
        (",", JSON),
    ],
)
def test_the_answer_has_the_type_that_the_client_likes_best(accept: str, expected: str | None) -> None:
    assert preferred(accept, (JSON, GRAPHQL)) == expected


def test_of_a_header_without_end_the_beginning_is_looked_at() -> None:
    """Each range takes its time, and a head may have 64 KB."""
    assert preferred(f"{GRAPHQL}, " + "a/b," * 20_000, (JSON, GRAPHQL)) == GRAPHQL
    assert preferred("a/b," * 20_000 + GRAPHQL, (JSON, GRAPHQL)) is None
    assert preferred("a" * 60_000, (JSON, GRAPHQL)) == JSON, "as without it"
    assert not is_json("application/json;" + "a=b;" * 15_000)
