"""Each caller makes every call of REST, and is answered or refused as the documents say of them (tests/access_matrix.py)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest

from gateway.identity import make_token
from gateway.rest.framework.endpoints import Endpoint
from gateway.rest.framework.openapi import openapi
from gateway.rest.routes import ENDPOINTS
from gateway.rest.tables import endpoints as tables
from gateway.settings import Settings
from rules.errors import CohortError
from rules.hierarchy import COLLECTION_MIME_TYPE
from tests.access_matrix import CALLERS, MAY, make_school
from tests.conftest import Instance
from tests.gateway.conftest import Serving

REFUSALS = {"UNAUTHENTICATED", "FORBIDDEN"}
PLACE = {"collectionId": "course", "contextId": "batch"}
VIEW = {"contentId": "b", "userId": "ann", **PLACE}
OF_COURSE = {"groupId": "g", "activityId": "course", "activityType": "Course"}
CHILDREN = {"rootId": "book", "unitId": "book", "children": ["a"]}
TABLE = {"metrics": ["ENROLLED_COUNT"], "activityIds": ["course"]}


class Asked(NamedTuple):
    """What a call sends: what its path names, and a request in the query or the body. ``CALLER`` stands for the caller."""

    path: Mapping[str, str] = MappingProxyType({})
    request: Mapping[str, Any] = MappingProxyType({})


CALLS: dict[str, Asked] = {
    "GET /v1/group/read/{group_id:path}": Asked({"group_id": "g"}),
    "POST /v1/group/list": Asked(request={"filters": {"userId": "ann"}}),
    "POST /v1/group/create": Asked(request={"name": "G", "userId": "ann"}),
    "PATCH /v1/group/membership/update": Asked(request={"userId": "CALLER"}),
    "POST /data/group/agg": Asked(request={"groupId": "g"}),
    "GET /data/group/agg": Asked(request={"groupId": "g"}),
    "POST /data/group/activity/agg": Asked(request=OF_COURSE),
    "GET /data/group/activity/agg": Asked(request=OF_COURSE),
    "POST /data/v1/group/activity/agg": Asked(request=OF_COURSE),
    "POST /course/v1/content/state/read": Asked(
        request={"userId": "ann", "courseId": "course", "batchId": "batch"}
    ),
    "GET /course/v1/user/enrollment/list/{user_id:path}": Asked({"user_id": "ann"}),
    "POST /v1/view/read": Asked(request={"userId": "ann", "contentId": "a", **PLACE}),
    "POST /v1/view/agg": Asked(request={"userId": "ann", **PLACE}),
    "POST /v1/assessment/read": Asked(request={"userId": "ann", **PLACE}),
    "POST /v2/view/assess/read": Asked(request={"userId": "ann", "assessmentId": "a"}),
    "POST /v1/summary/read": Asked(request={"userId": "ann", **PLACE}),
    "GET /v1/summary/list/{user_id:path}": Asked({"user_id": "ann"}),
    "GET /v1/summary/download/{user_id:path}": Asked({"user_id": "ann"}),
    "GET /content/v3/read/{identifier}": Asked({"identifier": "a"}),
    "GET /content/v3/hierarchy/{identifier}": Asked({"identifier": "course"}),
    "GET /content/v3/hierarchy/{identifier}/{bookmark_id}": Asked(
        {"identifier": "course", "bookmark_id": "unit-1"}
    ),
    "GET /collection/v4/read/{identifier}": Asked({"identifier": "course"}),
    # What changes something, in an order in which each call finds what it changes.
    "POST /course/v1/enrol": Asked(request={"userId": "ann", "courseId": "course", "batchId": "other"}),
    "POST /course/v1/unenrol": Asked(request={"userId": "ann", "courseId": "course", "batchId": "other"}),
    "POST /v1/view/start": Asked(request=VIEW),
    "POST /v1/view/update": Asked(request={**VIEW, "progress": 10}),
    "POST /v1/view/end": Asked(request=VIEW),
    "PATCH /course/v1/content/state/update": Asked(
        request={
            "userId": "ann",
            "contents": [{"contentId": "c", "status": 1, "courseId": "course", "batchId": "batch"}],
        }
    ),
    "POST /v1/assessment/submit": Asked(
        request={
            **VIEW,
            "attemptId": "t2",
            "assessmentTs": 1_772_366_400_000,
            "events": [],
        }
    ),
    "PATCH /v1/group/update": Asked(request={"groupId": "g-CALLER", "name": "H"}),
    "POST /v1/group/delete": Asked(request={"groupId": "g-CALLER"}),
    "POST /content/v3/create": Asked(request={"content": {"name": "C", "mimeType": "application/pdf"}}),
    "POST /collection/v4/create": Asked(
        request={"collection": {"name": "C", "mimeType": COLLECTION_MIME_TYPE}}
    ),
    "PATCH /content/v3/update/{identifier}": Asked({"identifier": "book"}, {"content": {"name": "B"}}),
    "PATCH /collection/v4/update/{identifier}": Asked({"identifier": "book"}, {"collection": {"name": "B"}}),
    "PATCH /content/v3/hierarchy/add": Asked(request=CHILDREN),
    "POST /collection/v4/hierarchy/update/relation/{identifier}": Asked(
        {"identifier": "book"}, {"childId": "a", "relationalMetadata": {"optional": True}}
    ),
    "DELETE /content/v3/hierarchy/remove": Asked(request=CHILDREN),
    "PATCH /content/v3/hierarchy/update": Asked(
        request={
            "data": {
                "nodesModified": {
                    "book": {"root": True, "objectType": "Content", "isNew": False, "metadata": {"name": "B"}}
                },
                "hierarchy": {"book": {"name": "B", "children": ["a"], "root": True}},
            }
        }
    ),
    "POST /content/v3/publish/{identifier}": Asked({"identifier": "book"}),
    "POST /content/v3/unlisted/publish/{identifier}": Asked({"identifier": "book"}),
    "POST /collection/v4/publish/{identifier}": Asked({"identifier": "book"}),
    "POST /collection/v4/unlisted/publish/{identifier}": Asked({"identifier": "book"}),
    "DELETE /content/v3/retire/{identifier}": Asked({"identifier": "book"}),
    "DELETE /v1/summary/delete/{user_id:path}": Asked({"user_id": "ann"}, PLACE),
}
"""A call of each endpoint, by the first of its paths."""
PLAIN_CALLS: dict[str, Asked] = {
    "GET /metrics/table": Asked(request={"metrics": "ENROLLED_COUNT", "activityIds": "course"}),
    "POST /metrics/table": Asked(request=TABLE),
    "GET /metrics/funnel/{collectionId}": Asked({"collectionId": "course"}),
    "GET /metrics/active-learners": Asked(request={"from": "2026-02-01", "to": "2026-02-03"}),
    "POST /metrics/links": Asked(request={"table": TABLE}),
}
"""The same, without the platform's envelope."""
LINKED = "GET /metrics/links/{link}"


def first_paths() -> dict[str, Endpoint[Any]]:
    found: dict[Any, Endpoint[Any]] = {}
    for one in ENDPOINTS:
        found.setdefault((one.method, one.handler, one.request, "bookmark" in one.path), one)
    return {f"{one.method} {one.path}": one for one in found.values()}


FIRST = first_paths()


@pytest.fixture
async def school(settings: Settings, serving: Serving, tmp_path: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings.model_copy(update={"metric_links": True})) as client:
        instance = Instance({}, tmp_path)
        instance.shared = client.app.state.cohort.shared  # type: ignore[attr-defined]
        await make_school(instance)
        yield client


def filled(value: Any, caller: str) -> Any:
    if isinstance(value, Mapping):
        return {name: filled(each, caller) for name, each in value.items()}
    return value.replace("CALLER", caller) if isinstance(value, str) else value


class Calls:
    """What each caller sends, and with which error of ours it was refused."""

    def __init__(
        self, client: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.client = client
        self.headers = {
            name: {}
            if viewer.user_id is None
            else {
                "Authorization": f"Bearer {make_token(settings, viewer.user_id, sorted(viewer.roles, key=str), timedelta(hours=1))}"
            }
            for name, viewer in CALLERS.items()
        }
        self.codes: list[str] = []
        """Of errors; the platform's codes of a call may say less."""
        refused = Endpoint._refused

        def noted(endpoint: Endpoint[Any], told: Any, error: CohortError) -> Any:
            self.codes.append(error.code)
            return refused(endpoint, told, error)

        monkeypatch.setattr(Endpoint, "_refused", noted)

    async def send(
        self, name: str, asked: Asked, caller: str, *, enveloped: bool
    ) -> tuple[int, list[str], Any]:
        """Status, the codes of what went wrong, and the answer."""
        method, _, path = name.partition(" ")
        for part, value in asked.path.items():
            path = path.replace(f"{{{part}:path}}", value).replace(f"{{{part}}}", value)
        viewer = CALLERS[caller]
        given = filled(asked.request, viewer.user_id or caller if "userId" in asked.request else caller)
        sends_body = FIRST[name].has_body if enveloped else method == "POST"
        sent: dict[str, Any] = (
            {"json": {"request": given} if enveloped else given} if sends_body else {"params": given}
        )
        self.codes.clear()
        answer = await self.client.request(method, path, headers=self.headers[caller], **sent)
        told = answer.json() if answer.content else {}
        codes = [*self.codes] if enveloped else [told["error"]["code"]] if "error" in told else []
        assert (answer.status_code == 200) == (codes == []), (name, caller, answer.text)
        return answer.status_code, codes, told


async def differences(calls: Calls, asked: dict[str, Asked], accesses: dict[str, Any]) -> list[str]:
    """What is otherwise than the documents say. Who is refused calls first, while there is something to refuse."""
    found = []
    for name, each in asked.items():
        may, done = MAY[accesses[name]], []
        for caller in sorted(CALLERS, key=lambda caller: caller in may):
            status, codes, _ = await calls.send(name, each, caller, enveloped=name in FIRST)
            done += [] if codes else [caller]
            if REFUSALS.isdisjoint(codes) != (caller in may):
                found.append(f"{name}: {caller} gets {status} {codes}")
        if not done:
            found.append(f"{name}: nobody gets an answer without an error {codes}")
    return found


async def test_who_may_call_what(
    school: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(school, settings, monkeypatch)
    assert await differences(calls, CALLS, {name: one.access for name, one in FIRST.items()}) == []


async def test_who_may_have_figures_as_tables(
    school: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a link to one is for anybody who has it."""
    calls = Calls(school, settings, monkeypatch)
    plain = {f"{one.method} {one.path}": one.access for one in tables.ENDPOINTS}
    assert await differences(calls, PLAIN_CALLS, plain) == []
    _, _, made = await calls.send(
        "POST /metrics/links", PLAIN_CALLS["POST /metrics/links"], "mentor", enveloped=False
    )
    link = Asked({"link": made["url"].rpartition("/")[2]})
    assert await differences(calls, {LINKED: link}, plain) == []


def test_every_call_has_a_place_in_the_matrix() -> None:
    assert CALLS.keys() == FIRST.keys()
    assert {*PLAIN_CALLS, LINKED} == {f"{one.method} {one.path}" for one in tables.ENDPOINTS}


def test_a_call_is_for_the_same_under_all_its_paths() -> None:
    kinds: dict[Any, set[Any]] = {}
    for one in ENDPOINTS:
        kinds.setdefault((one.method, one.handler, one.request), set()).add(one.access)
    assert [key for key, accesses in kinds.items() if len(accesses) > 1] == []


def test_the_openapi_document_says_who_may_call() -> None:
    paths = openapi(ENDPOINTS, tables.ENDPOINTS, tables.COMPONENTS)["paths"]
    told = {
        f"{method.upper()} {path}": (operation["x-access"], operation["security"])
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    tokens: list[dict[str, list[str]]] = [{"bearer": []}, {"userToken": []}]
    declared: Sequence[Any] = (*ENDPOINTS, *tables.ENDPOINTS)
    for one in declared:
        access = {"to": one.access.name, "description": one.access.value.sentence}
        security = [] if f"{one.method} {one.path}" == LINKED else tokens
        assert told[f"{one.method} {one.path.replace(':path', '')}"] == (access, security)
