"""The OpenAPI document says what the REST calls take and answer, and they do (schemathesis makes up the calls)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.identity import make_token
from gateway.rest.framework.openapi import PATH, openapi
from gateway.rest.framework.requests import RequestModel
from gateway.rest.routes import ENDPOINTS, ROUTES
from gateway.rest.tables import endpoints as tables
from gateway.settings import Settings
from ingest.calls.placing import ViewCall
from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.learner_groups import NewGroup, create_group
from ingest.commands.views import start_view
from ingest.publishing.direct import publish_collection
from rules.group_changes import AddMember
from rules.identifiers import ContextType
from rules.learner_groups import Activity
from rules.viewers import Role
from tests.conftest import COURSE, examples
from tests.gateway.conftest import Serving

pytestmark = pytest.mark.long

Case = schemathesis.Case[Any]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = examples(5, quickly=2)
"""Calls of each kind, good and bad, of each endpoint."""

KNOWN: dict[str, list[Any]] = {
    "contentId": ["a", "b"],
    "assessmentId": ["a", "b"],
    "courseId": ["course"],
    "collectionId": ["course"],
    "batchId": ["batch"],
    "contextId": ["batch"],
    "userId": ["ada"],
    "user_id": ["ada", "bob"],
    "groupId": ["g"],
    "group_id": ["g", "nowhere"],
    "activityId": ["course"],
    "activityType": ["Course"],
    "identifier": ["course", "unit-1", "a"],
    "bookmark_id": ["unit-1", "nowhere"],
    "rootId": ["course"],
    "unitId": ["unit-1"],
    "childId": ["a", "b"],
}
"""Ids that there are, so that calls come further than to be told that there is no such thing."""


def narrowed(document: dict[str, Any], known: dict[str, list[Any]]) -> dict[str, Any]:
    """What is asked, with the ``known`` ids instead of any text; of each endpoint under several paths the first.
    Headers are left to the test: it sends tokens that hold."""
    paths: dict[str, dict[str, Any]] = {}
    endpoints = {(one.method, one.handler, one.request): one for one in reversed(ENDPOINTS)}.values()
    last = ("delete", "retire")  # so that others find something
    for endpoint in sorted(endpoints, key=lambda one: any(word in one.path for word in last)):
        path, method = endpoint.path.replace(":path", ""), endpoint.method.lower()
        operation = document["paths"][path][method]
        parameters = [
            {**one, "schema": {"enum": known[one["name"]]}} if one["name"] in known else one
            for one in operation["parameters"]
            if one["in"] != "header"
        ]
        paths.setdefault(path, {})[method] = {**operation, "parameters": parameters, "security": []}
    for plain in tables.ENDPOINTS:
        operation = document["paths"][plain.path][plain.method.lower()]
        paths.setdefault(plain.path, {})[plain.method.lower()] = {**operation, "security": []}
    schemas = dict(document["components"]["schemas"])
    for name in {asked.__name__ for asked in every_kind_of(RequestModel)} & schemas.keys():
        properties = schemas[name]["properties"]
        narrow = {
            field: {
                "enum": [*known[field], *([None] if field not in schemas[name].get("required", ()) else [])]
            }
            for field in properties.keys() & known.keys()
        }
        schemas[name] = {**schemas[name], "properties": {**properties, **narrow}}
    return {**document, "paths": paths, "components": {**document["components"], "schemas": schemas}}


def every_kind_of(asked: type[RequestModel]) -> Iterator[type[RequestModel]]:
    for kind in asked.__subclasses__():
        yield kind
        yield from every_kind_of(kind)


@pytest.fixture
async def client(settings: Settings, serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    """Of an instance where Ada is enrolled, has begun, and leads a group."""
    async with serving(settings) as client:
        operator = client.app.state.cohort.operator()  # type: ignore[attr-defined]
        await publish_collection(operator, COURSE)
        await create_context(operator, NewContext(ContextType.BATCH, "Batch", ("course",), "batch"))
        await enrol(operator, EnrolmentCall("course", "batch", "ada"))
        await start_view(operator, ViewCall("a", "course", "batch", "ada"))
        activities, members = (Activity("course", "Course"),), (AddMember("bob"),)
        await create_group(
            operator, NewGroup("G", members=members, activities=activities, group_id="g", user_id="ada")
        )
        yield client


@cache
def whole_document() -> dict[str, Any]:
    return openapi(ENDPOINTS, tables.ENDPOINTS, tables.COMPONENTS)


def operations(document: dict[str, Any]) -> Iterator[Any]:
    found: Iterator[Any] = schemathesis.openapi.from_dict(document).get_all_operations()
    for result in found:
        yield result.ok()


def cases(operation: Any, mode: GenerationMode) -> list[Case]:
    """The same ones each time."""
    found: list[Case] = []

    @hypothesis_settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def as_sent(case: Case, token: str) -> dict[str, Any]:
    sent = case.as_transport_kwargs(base_url="http://cohort", headers={"Authorization": f"Bearer {token}"})
    sent.pop("cookies", None)
    if "data" in sent:  # of a body that is no JSON
        sent["content"] = sent.pop("data")
    return sent


@pytest.mark.timeout(300)
async def test_every_call_is_answered_as_the_document_says(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    """Good calls and bad ones, by a learner and by a service in turns."""
    tokens = [
        make_token(settings, "ada", [role], timedelta(hours=1)) for role in (Role.LEARNER, Role.SERVICE)
    ]
    document = (await client.get("/openapi.json")).json()
    answered = set()
    for mode, known in ((GenerationMode.POSITIVE, KNOWN), (GenerationMode.NEGATIVE, {})):
        for operation in operations(narrowed(document, known)):
            if mode is GenerationMode.NEGATIVE and not operation.query and not operation.body:
                continue  # it takes an id in its path, and any text may be one
            for place, case in enumerate(await asyncio.to_thread(cases, operation, mode)):
                try:
                    answer = await client.request(**as_sent(case, tokens[place % 2]))
                except httpx.InvalidURL:
                    continue  # the client sends no query of more than 64 KB
                case.validate_response(answer, checks=CHECKS)
                if answer.status_code == 200:
                    answered.add(operation.label)
    assert len(answered) >= 25, "most calls come further than to a refusal"


def test_every_route_is_in_the_document() -> None:
    document = whole_document()
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    routed = {
        (route.path.replace(":path", ""), method.lower())
        for route in ROUTES
        if route.path != PATH and "{rest" not in route.path
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described == routed


def test_every_call_has_a_sentence_and_every_refusal_its_codes() -> None:
    for methods in whole_document()["paths"].values():
        for operation in methods.values():
            assert operation["summary"].endswith(".")
            assert {"200", "400", "401", "404", "500", "503", "504"} <= set(operation["responses"])
    state_update = whole_document()["paths"]["/course/v1/content/state/update"]["patch"]
    enrol = whole_document()["paths"]["/course/v1/enrol"]["post"]
    assert "`INVALID_COURSE_BATCH_ID`" in enrol["responses"]["400"]["description"]
    assert "`INVALID_COURSE_BATCH_ID`" not in enrol["responses"]["404"]["description"]
    assert "`DATE_FORMAT_ERRROR`" in state_update["responses"]["400"]["description"]


def test_the_names_of_schemas_are_no_paths_of_modules() -> None:
    """Two types of one name would have them: clients would see when a module moves."""
    assert [name for name in whole_document()["components"]["schemas"] if "__" in name] == []


async def test_the_document_is_served_to_everybody_and_not_sent_twice(client: httpx.AsyncClient) -> None:
    first = await client.get("/openapi.json")
    assert (first.status_code, first.json()["openapi"]) == (200, "3.1.0")
    again = await client.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_the_header_for_another_user_is_only_where_it_counts_and_says_who_may() -> None:
    paths = whole_document()["paths"]

    def who(method: str, path: str) -> list[str]:
        found = [one for one in paths[path][method]["parameters"] if one["in"] == "header"]
        return [one["description"].rpartition(". ")[2] for one in found]

    assert who("post", "/course/v1/enrol") == [
        "Only a service, an admin or a mentor of the batch may name another."
    ]
    assert who("post", "/v1/view/start") == ["Only a service may name another."]
    assert who("post", "/view/v1/agg") == ["Only a service, an admin or a mentor may name another."]
    assert who("post", "/v1/view/read") == [
        "Only an admin, a mentor, a reporter or a service may name another."
    ]
    for method, path in (
        ("get", "/v1/summary/list/{user_id}"),
        ("delete", "/v1/summary/delete/{user_id}"),
        ("post", "/v1/group/create"),
    ):
        assert who(method, path) == []
