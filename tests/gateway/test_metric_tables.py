"""Tables of figures over REST: the same as GraphQL's, as JSON, CSV and Parquet; links to them."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import orjson
import pytest
from starlette.applications import Starlette

from gateway.callers import CallerNames
from gateway.http.admission import Admission
from gateway.http.errors import HANDLERS
from gateway.identity import Tokens, make_token
from gateway.rest.routes import ROUTES
from gateway.settings import Settings
from gateway.wiring import Cohort
from resolvers.metric_links import LONGEST_LIFE, LONGEST_LINK, MetricLinks
from rules.errors import Forbidden, InvalidInput
from rules.viewers import Role, Viewer
from tests.conftest import COURSE, Instance, embedded_urls, filled_once, instance_of, real_urls
from tests.gateway.conftest import KEY
from tests.graph.conftest import data
from tests.graph.test_metrics import STATES
from tests.loaders.figures import fill

QUERY = {
    "metrics": "ENROLLED_COUNT,AVERAGE_PROGRESS,LAST_ACTIVITY,PROGRESS_DISTRIBUTION",
    "dimensions": "GENDER",
    "activityIds": "course",
    "orderBy": "averageProgress:desc",
    "totals": "true",
}
INPUT = """{metrics: [ENROLLED_COUNT, AVERAGE_PROGRESS, LAST_ACTIVITY, PROGRESS_DISTRIBUTION], dimensions: [GENDER],
  activityIds: ["course"], orderBy: [{column: "averageProgress", direction: DESC}], totals: true}"""
BODY = {
    **{name: QUERY[name].split(",") for name in ("metrics", "dimensions", "activityIds")},
    "orderBy": [{"column": "averageProgress", "direction": "DESC"}],
    "totals": True,
}
LINKED = {"metrics": ["ENROLLED_COUNT", "LAST_ACTIVITY"], "dimensions": ["COLLECTION"]}
COLUMNS = ["gender", "enrolledCount", "averageProgress", "lastActivity", "progressDistribution"]


class Tables:
    """An instance behind HTTP. ``await tables.get("/metrics/table", …)`` is a reporter's call."""

    def __init__(self, instance: Instance, **settings: Any) -> None:
        self.instance = instance
        named: dict[str, Any] = {**instance.urls, "data": instance.data, "jwt_key": KEY, "metric_links": True}
        self.settings = Settings(**(named | settings))
        self._app = Starlette(routes=list(ROUTES), exception_handlers=HANDLERS)
        self._app.state.cohort = Cohort(self.settings, instance.shared)
        self._app.state.admission = Admission()

    async def call(
        self, method: str, path: str, *, role: Role | None = Role.REPORTER, **more: Any
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if role is not None:
            headers["Authorization"] = (
                f"Bearer {make_token(self.settings, 'rita', [role], timedelta(hours=1))}"
            )
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://cohort") as client:
            return await client.request(method, path, headers=headers, **more)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.call("GET", path, params=query)

    async def link(self, role: Role = Role.REPORTER, **body: Any) -> str:
        answer = await self.call("POST", "/metrics/links", json=body, role=role)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "private, no-store"
        url: str = answer.json()["url"]
        return url


async def prepared(instance: Instance) -> Tables:
    for collection in ("course", "other"):
        await instance.publish({**COURSE, "identifier": collection})
    await fill(instance, STATES)
    return Tables(instance)


@pytest.fixture
async def tables(tmp_path: Path) -> AsyncIterator[Tables]:
    async with filled_once(prepared, tmp_path / "data") as instance:
        yield Tables(instance)


async def of_graphql(instance: Instance) -> Any:
    document = f"{{ activityMetrics(query: {INPUT}) {{ columns {{ name kind }} rows totals asOf complete source privacy {{ profile }} }} }}"
    return (await data(instance.session("rita", Role.REPORTER), document))["activityMetrics"]


def rows_of_parquet(content: bytes, folder: Path) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    """Names and types of the columns, and the rows, as a notebook reads them."""
    path = folder / "figures.parquet"
    path.write_bytes(content)
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet($path)", {"path": str(path)})
        return [(name, str(kind)) for name, kind, *_ in found.description or ()], found.fetchall()


async def check_agreement(tables: Tables, folder: Path) -> None:
    """Of F (100 + 33) / 2 = 66.5, of M 50, of unknown 0: JSON, CSV and Parquet say what GraphQL says."""
    wanted = await of_graphql(tables.instance)
    assert [row[:3] for row in wanted["rows"]] == [["F", 2, 66.5], ["M", 1, 50.0], [None, 1, 0.0]]
    answer = await tables.get("/metrics/table", **QUERY)
    assert answer.json() == wanted | {"asOf": answer.json()["asOf"]}
    posted = await tables.call("POST", "/metrics/table", json=BODY)
    assert posted.json()["rows"] == wanted["rows"]

    text = await tables.get("/metrics/table", **QUERY, format="csv")
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    names, *lines = csv.reader(io.StringIO(text.text, newline=""))
    assert names == COLUMNS
    assert [line[:4] for line in lines] == [
        [("" if value is None else str(value)) for value in row[:4]] for row in wanted["rows"]
    ]
    assert [orjson.loads(line[4]) for line in lines] == [row[4] for row in wanted["rows"]]
    assert text.text.count("\r\n") == 4

    file = await tables.get("/metrics/table", **QUERY, format="parquet")
    columns, rows = rows_of_parquet(file.content, folder)
    assert columns == [
        *(("gender", "VARCHAR"), ("enrolledCount", "BIGINT"), ("averageProgress", "DOUBLE")),
        *(("lastActivity", "TIMESTAMP"), ("progressDistribution", "VARCHAR")),
    ]
    assert [list(row[:3]) for row in rows] == [row[:3] for row in wanted["rows"]]
    assert rows[0][3] == datetime(2026, 2, 1, 10, 30)  # noqa: DTZ001 - Parquet's moments are in UTC, without saying so
    assert orjson.loads(rows[0][4]) == wanted["rows"][0][4]


async def test_a_table_is_the_same_as_graphqls_in_every_form(tables: Tables, tmp_path: Path) -> None:
    await check_agreement(tables, tmp_path)


@pytest.mark.stack
async def test_a_table_of_druid_is_the_same_in_every_form(tmp_path: Path) -> None:
    real = {name: real_urls()[name] for name in ("events", "groups", "prefix")}
    async with instance_of(embedded_urls() | real, tmp_path / "data", groups=True) as instance:
        await check_agreement(await prepared(instance), tmp_path)


async def test_the_form_is_that_of_the_query_or_of_accept(tables: Tables) -> None:
    for accept, media in [
        ("text/csv", "text/csv"),
        ("text/html, application/vnd.apache.parquet;q=0.9", "application/vnd.apache.parquet"),
        ("*/*", "application/json"),
    ]:
        answer = await tables.call("GET", "/metrics/table", params=QUERY, headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == media
        assert answer.headers["cohort-complete"] == "true"
        assert answer.headers["cohort-as-of"].endswith(".000Z")
        assert answer.headers["cohort-source"] == "STATES"
    answer = await tables.call(
        "GET", "/metrics/table", params={**QUERY, "format": "csv"}, headers={"Accept": "application/json"}
    )
    assert answer.headers["content-type"].startswith("text/csv")


async def test_who_has_the_rows_already_gets_304(tables: Tables) -> None:
    for form in ("json", "csv", "parquet"):
        first = await tables.get("/metrics/table", **QUERY, format=form)
        assert first.headers["cache-control"] == "private, no-cache"
        again = await tables.call(
            "GET",
            "/metrics/table",
            params={**QUERY, "format": form},
            headers={"If-None-Match": first.headers["etag"]},
        )
        assert (again.status_code, again.content) == (304, b""), form


async def test_lists_are_repeated_or_have_commas(tables: Tables) -> None:
    commas = await tables.get("/metrics/table", metrics="ENROLLED_COUNT,TIME_SPENT")
    repeated = await tables.get("/metrics/table", metrics=["ENROLLED_COUNT", "TIME_SPENT"])
    assert commas.json()["rows"] == repeated.json()["rows"] == [[5, 300]]


async def test_a_text_that_a_spreadsheet_would_run_is_none_in_csv(embedded: Instance) -> None:
    await embedded.publish({**COURSE, "name": "=1+1"})
    await fill(embedded, STATES[:1])
    query = {"metrics": "ENROLLED_COUNT", "dimensions": "COLLECTION", "labels": "true", "format": "csv"}
    answer = await Tables(embedded).get("/metrics/table", **query)
    assert answer.text == "collection,collectionName,enrolledCount\r\ncourse,'=1+1,1\r\n"


@pytest.mark.parametrize(
    ("query", "field", "told"),
    [
        ({}, "metrics", "metrics is missing"),
        ({"metrics": "ENROLLED"}, "metrics[0]", "ENROLLED_COUNT"),
        ({"metrics": "ENROLLED_COUNT", "metric": "x"}, "metric", "there are metrics, activityIds"),
        ({"metrics": "ENROLLED_COUNT", "limit": "many"}, "limit", "a whole number"),
        ({"metrics": "ENROLLED_COUNT", "limit": "0"}, "limit", "from 1 to 1000"),
        ({"metrics": "ENROLLED_COUNT", "totals": "yes"}, "totals", "true or false"),
        ({"metrics": "ENROLLED_COUNT", "limit": ["1", "2"]}, "limit", "given once"),
        ({"metrics": "ENROLLED_COUNT", "filter": "{"}, "filter", "must be JSON"),
        ({"metrics": "ENROLLED_COUNT", "filter": "[" * 900 + "]" * 900}, "filter", "filter"),
        ({"metrics": "ENROLLED_COUNT", "filter": '{"status": ["DONE"]}'}, "filter.status[0]", "COMPLETED"),
        ({"metrics": "ENROLLED_COUNT", "orderBy": "gender"}, "orderBy[0]", "enrolledCount"),
        ({"metrics": "ENROLLED_COUNT", "orderBy": "enrolledCount:down"}, "orderBy[0].direction", "DESC"),
        (
            {"metrics": "ENROLLED_COUNT", "compare": '{"contextIds": null}'},
            "compare.contextIds",
            "contextIds",
        ),
        ({"metrics": "ENROLLED_COUNT", "format": "xlsx"}, "format", "json, csv, parquet"),
    ],
)
async def test_what_is_wrong_is_named_with_what_would_be_right(
    tables: Tables, query: dict[str, Any], field: str, told: str
) -> None:
    answer = await tables.get("/metrics/table", **query)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "INVALID_INPUT", field)
    assert told in error["message"]


async def test_who_may_not_see_figures_is_told_so(tables: Tables) -> None:
    asked = {"params": {"metrics": "ENROLLED_COUNT"}}
    assert (await tables.call("GET", "/metrics/table", role=None, **asked)).status_code == 401
    assert (await tables.call("GET", "/metrics/table", role=Role.LEARNER, **asked)).status_code == 403
    by_gender = {"params": {"metrics": "LEARNERS_COUNT", "dimensions": "GENDER"}}
    assert (await tables.call("GET", "/metrics/table", role=Role.CREATOR, **asked)).status_code == 200
    refused = await tables.call("GET", "/metrics/table", role=Role.CREATOR, **by_gender)
    assert (refused.status_code, refused.json()["error"]["field"]) == (403, "metrics")
    gone = await tables.get("/metrics/table", metrics="ENROLLED_COUNT", activityIds="nowhere")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (await tables.call("DELETE", "/metrics/table")).status_code == 405


async def test_the_token_of_a_call_is_checked_once(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    times = 0
    checked = Tokens.viewer

    async def counted(*args: Any) -> Viewer:
        nonlocal times
        times += 1
        return await checked(*args)

    monkeypatch.setattr(Tokens, "viewer", counted)
    assert (await tables.get("/metrics/table", **QUERY)).status_code == 200
    assert (await tables.call("POST", "/metrics/table", json=BODY)).status_code == 200
    await tables.link(table=LINKED)
    assert times == 3


async def test_a_table_is_one_query(tables: Tables) -> None:
    with tables.instance.stores.groups.meter.measure() as queries:
        await tables.get("/metrics/table", metrics="ENROLLED_COUNT", activityIds="course")
    assert queries["activity-state"] == 1
    assert queries["activity-totals"] == 0


async def test_the_funnel_is_a_table_of_units_with_the_collection_as_totals(tables: Tables) -> None:
    document = """{ activityFunnel(collectionId: "course") { name requiredCount enrolledCount startedCount completedCount
      steps { unitId name depth requiredCount enrolledCount startedCount completedCount startedShare completedShare } } }"""
    wanted = (await data(tables.instance.session("rita", Role.REPORTER), document))["activityFunnel"]
    answer = (await tables.get("/metrics/funnel/course")).json()
    names = [column["name"] for column in answer["columns"]]
    assert [dict(zip(names, row, strict=True)) for row in answer["rows"]] == wanted["steps"] != []
    totals = dict(zip(names, answer["totals"], strict=True))
    assert totals["unitId"] == "course"
    of_collection = {name: value for name, value in wanted.items() if name != "steps"}
    assert {name: totals[name] for name in of_collection} == of_collection
    lines = (await tables.get("/metrics/funnel/course", format="csv", depth=1)).text.splitlines()
    assert lines[0] == ",".join(names)
    assert len(lines) == 1 + len(wanted["steps"])
    assert (await tables.get("/metrics/funnel/nowhere")).status_code == 404


async def test_a_link_shows_its_table_to_whoever_has_it_and_nothing_else(tables: Tables) -> None:
    url = await tables.link(table=LINKED, format="csv", expiresIn=60)
    shown = await tables.call("GET", url, role=None)
    same = {"metrics": "ENROLLED_COUNT,LAST_ACTIVITY", "dimensions": "COLLECTION", "format": "csv"}
    assert shown.text == (await tables.get("/metrics/table", **same)).text
    assert shown.headers["cache-control"] == "private, no-store"
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert "etag" not in shown.headers
    assert "rita" not in url
    text, _, signature = url.rpartition(".")
    for other in (
        f"{text}x.{signature}",
        f"{text}.{signature[:-1]}",
        f"{text}.é",
        text,
        f"{url}?format=json",
    ):
        answer = await tables.call("GET", other, role=None)
        assert answer.status_code == 403 or answer.headers["content-type"].startswith("text/csv"), other


async def test_a_link_is_made_only_for_what_its_maker_may_see(tables: Tables) -> None:
    for role, status in ((None, 401), (Role.LEARNER, 403)):
        answer = await tables.call("POST", "/metrics/links", json={"table": LINKED}, role=role)
        assert answer.status_code == status
    refused = await tables.call("POST", "/metrics/links", json={"table": {"metrics": ["ENROLLED"]}})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "metrics[0]")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "table"),
        ({"table": BODY, "funnel": {"collectionId": "course"}}, "table"),
        ({"table": []}, "table"),
        ({"funnel": {}}, "funnel.collectionId"),
        ({"table": BODY, "expiresIn": LONGEST_LIFE + 1}, "expiresIn"),
        ({"table": BODY, "expiresIn": "1"}, "expiresIn"),
        ({"table": BODY, "format": ["csv"]}, "format"),
        ({"table": BODY, "expires": 1}, "expires"),
    ],
)
async def test_a_link_that_can_not_be_names_the_field(tables: Tables, body: Any, field: str) -> None:
    answer = await tables.call("POST", "/metrics/links", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


async def test_a_link_to_a_funnel(tables: Tables) -> None:
    url = await tables.link(funnel={"collectionId": "course", "depth": 1})
    shown = (await tables.call("GET", url, role=None)).json()
    assert shown["rows"] == (await tables.get("/metrics/funnel/course")).json()["rows"]


async def test_there_are_no_links_unless_the_setting_says_so(tables: Tables) -> None:
    url = await tables.link(table=LINKED)
    off = Tables(tables.instance, metric_links=False)
    assert (await off.call("GET", url, role=None)).status_code == 404
    assert (await off.call("POST", "/metrics/links", json={"table": BODY})).status_code == 404


async def test_another_key_ends_all_links(tables: Tables) -> None:
    url = await tables.link(table=LINKED)
    rotated = Tables(tables.instance, jwt_key="n" * 32)
    assert (await rotated.call("GET", url, role=None)).status_code == 403


def test_a_link_ends_at_its_second_and_keeps_only_the_roles_that_count() -> None:
    now = [datetime(2026, 3, 1, 12, tzinfo=UTC)]
    links = MetricLinks([KEY], lambda: now[0])
    viewer = Viewer("rita", frozenset({Role.REPORTER, Role.LEARNER}))
    link, expires = links.signed(viewer, {"table": {}}, 60)
    assert expires == datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    now[0] = expires
    assert links.opened(link).roles == frozenset({Role.REPORTER})
    assert links.opened(link).asked == {"table": {}}
    now[0] += timedelta(seconds=1)
    with pytest.raises(Forbidden, match="expired"):
        links.opened(link)


def test_a_link_is_no_longer_than_a_url_may_be() -> None:
    viewer = Viewer("rita", frozenset({Role.REPORTER}))
    ids = [f"do_{number * 7_919_333_111:020d}" for number in range(1000)]
    with pytest.raises(InvalidInput, match=str(LONGEST_LINK)):
        MetricLinks([KEY]).signed(viewer, {"table": {"activityIds": ids}})


async def test_active_learners_are_a_table_too_with_every_date(tables: Tables) -> None:
    asked = {"from": "2026-02-01", "to": "2026-02-14", "every": "WEEK"}
    document = """{ activeLearners(query: {from: "2026-02-01", to: "2026-02-14", every: WEEK}) { columns { name kind } rows } }"""
    wanted = (await data(tables.instance.session("rita", Role.REPORTER), document))["activeLearners"]
    answer = (await tables.get("/metrics/active-learners", **asked)).json()
    assert {name: answer[name] for name in wanted} == wanted
    assert [row[0] for row in answer["rows"]] == ["2026-01-26", "2026-02-02", "2026-02-09"]
    text = (await tables.get("/metrics/active-learners", **asked, format="csv")).text
    assert text.splitlines()[:2] == ["date,activeLearners", "2026-01-26,0"]
    shown = await tables.call("GET", await tables.link(activeLearners=asked), role=None)
    assert shown.json()["rows"] == wanted["rows"]
    refused = await tables.get("/metrics/active-learners", **{**asked, "from": "yesterday"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "from")


async def test_an_empty_table_has_the_same_types_in_parquet(tables: Tables, tmp_path: Path) -> None:
    nobody = {
        **QUERY,
        "filter": '{"dimension": {"dimension": "REGION", "in": ["nowhere"]}}',
        "format": "parquet",
    }
    full = await tables.get("/metrics/table", **QUERY, format="parquet")
    empty = await tables.get("/metrics/table", **nobody)
    columns, rows = rows_of_parquet(empty.content, tmp_path)
    assert (columns, rows) == (rows_of_parquet(full.content, tmp_path)[0], [])


async def test_who_makes_a_link_is_logged_and_the_link_is_not(
    tables: Tables, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        url = await tables.link(table=LINKED)
        await tables.call("GET", url, role=None)
    made = next(record for record in caplog.records if "link to figures was made" in record.getMessage())
    assert made.fields["caller"] == CallerNames(KEY.encode()).name("rita", None)  # type: ignore[attr-defined]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("gateway")]
    assert not any(url.rpartition("/")[2] in message for message in ours)
