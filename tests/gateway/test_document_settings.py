"""The limits of documents that an operator sets are those that clients meet (R-LIMIT-1)."""

import pytest

from gateway.served_schema import document_limits
from gateway.settings import Settings, SettingsError, load_settings
from graph.documents.limits import Limits
from graph.schema import schema, schema_of
from tests.gateway.conftest import KEY, Serving


def test_the_limits_without_settings_are_those_of_the_code() -> None:
    assert document_limits(Settings()) == Limits()
    assert schema_of(document_limits(Settings())) is schema, "there is one in a process"


async def test_an_operator_sets_the_limits_and_whether_they_only_warn(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"query": "{ a: __typename b: __typename ... on Query { __typename } }"}
    accepting = {"accept": "application/graphql-response+json"}
    async with serving(load_settings(jwt_key=KEY, most_aliases=1)) as client:
        answer = await client.post("/graphql", json=query, headers=accepting)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["message"].startswith("the operation has 2 aliases")
    assert error["extensions"] == {
        "code": "DOCUMENT_TOO_LARGE",
        "limit": "most_aliases",
        "most": 1,
        "found": 2,
    }
    monkeypatch.setenv("COHORT_WARN_ONLY", "documents, rate")
    settings = load_settings(jwt_key=KEY, most_aliases=1)
    assert settings.warn_only == ("documents", "rate")
    async with serving(settings) as client:
        answer = await client.post("/graphql", json=query, headers=accepting)
    assert answer.json() == {"data": {"a": "Query", "b": "Query", "__typename": "Query"}}
    monkeypatch.setenv("COHORT_WARN_ONLY", "tokens")
    with pytest.raises(SettingsError, match="warn_only"):
        load_settings()
