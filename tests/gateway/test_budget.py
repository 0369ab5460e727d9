"""The budget of a request over REST, in the settings, and in what a page of another origin may read."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.identity import make_token
from gateway.rest.framework.prices import CHANGES, CallPrice
from gateway.rest.routes import ENDPOINTS
from gateway.settings import Settings, SettingsError, load_settings
from gateway.wiring import budget_of
from rules.prices import Budget, Price
from rules.viewers import Role
from tests.gateway.conftest import KEY, Serving

READ = "/course/v1/content/state/read"


def bearer(settings: Settings, *roles: Role) -> dict[str, str]:
    token = make_token(settings, "ada", roles or [Role.LEARNER], timedelta(hours=1))
    return {"Authorization": f"Bearer {token}"}


class Inner(BaseModel):
    id: str


class Asked(BaseModel):
    ids: list[str] = []
    fields: list[str] = []
    inner: list[Inner] = []


@pytest.mark.parametrize(
    ("asked", "times"),
    [
        (Asked(), 5),  # what is usual where nothing is named
        (
            Asked(ids=["a"], fields=["name", "score"]),
            1,
        ),  # ``fields`` are what is shown, and no more is read for them
        (Asked(ids=["a"] * 200), 1),
        (Asked(ids=["a", "b"], inner=[Inner(id="x"), Inner(id="x"), Inner(id="y")]), 4),
    ],
)
def test_a_call_costs_more_for_each_different_member_of_its_lists(asked: Asked, times: int) -> None:
    assert CallPrice(Price(10), Price(3), usual=5).of(asked) == Price(10 + 3 * times)


async def test_calls_tell_what_they_cost_and_are_refused_beyond_the_budget(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, budget_partitions=17)
    body: dict[str, Any] = {"request": {"userId": "ada", "courseId": "x", "batchId": "y"}}
    async with serving(settings) as client:
        answer = await client.post(READ, json=body, headers=bearer(settings))
        # 10 partitions and 20,000 bytes of 10,000 a point: 12.
        assert answer.headers["X-Cost"].startswith("estimate=12; actual=")
        body["request"]["contentIds"] = ["a", "b"]
        refused = await client.post(READ, json=body, headers=bearer(settings))
        assert refused.status_code == 400
        params = refused.json()["params"]
        assert params["err"] == "TOO_EXPENSIVE"
        # 10, and 4 for each of the two.
        assert params["errmsg"].startswith(
            "the request would cost 18 partitions of rows; at most 17 are allowed"
        )
        assert refused.headers["X-Cost"] == "estimate=21; actual=1"
        body["request"]["contentIds"] = ["a", "a"]
        assert "TOO_EXPENSIVE" not in (await client.post(READ, json=body, headers=bearer(settings))).text


async def test_a_table_of_figures_costs_rows_of_the_groups_store(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, budget_druid_rows=50_000)
    async with serving(settings) as client:
        answer = await client.get(
            "/metrics/table", params={"metrics": "ENROLLED_COUNT"}, headers=bearer(settings, Role.REPORTER)
        )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "TOO_EXPENSIVE"
    # 5 partitions, 60,000 rows of 1,000 a point, 100,000 bytes: 75.
    assert answer.headers["X-Cost"].startswith("estimate=75; ")


async def test_files_and_links_are_on_the_bill_of_who_asks_for_them(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, metric_links=True)
    async with serving(settings) as client:
        asked = {"table": {"metrics": ["ENROLLED_COUNT"]}}
        made = await client.post("/metrics/links", json=asked, headers=bearer(settings, Role.REPORTER))
        # A new link is tried once: 75 points, as the table itself.
        assert (made.status_code, made.headers["X-Cost"].partition(";")[0]) == (200, "estimate=75")
        summary = await client.get("/learners/ada/summary.json", headers=bearer(settings))
        # All enrolments of a learner: 110 partitions and 30,000 bytes.
        assert (summary.status_code, summary.headers["X-Cost"].partition(";")[0]) == (200, "estimate=113")


async def test_pages_of_other_origins_may_ask_for_the_cost_and_read_it(serving: Serving) -> None:
    origin = "https://app.example"
    settings = load_settings(jwt_key=KEY, allowed_origins=(origin,))
    async with serving(settings) as client:
        preflight = await client.options(
            "/graphql",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,x-cost",
            },
        )
        assert preflight.status_code == 200
        answer = await client.post(
            "/graphql",
            json={"query": "{ me { userId } }"},
            headers={"Origin": origin, "X-Cost": "full", **bearer(settings)},
        )
    assert "x-cost" in answer.headers["access-control-expose-headers"].lower()
    assert answer.headers["X-Cost"] == "estimate=1; actual=1"
    assert answer.json()["extensions"]["cost"]["estimate"]["partitions"] == 0


async def test_what_is_over_the_budget_is_let_through_where_the_setting_says_so(serving: Serving) -> None:
    settings = load_settings(jwt_key=KEY, budget_bytes=10, warn_only=("budget",))
    async with serving(settings) as client:
        answer = await client.post("/graphql", json={"query": "{ me { userId } }"}, headers=bearer(settings))
    assert answer.json() == {"data": {"me": {"userId": "ada"}}}


def test_the_settings_say_what_a_request_may_cost() -> None:
    assert budget_of(load_settings(jwt_key=KEY)) == Budget()
    asked = load_settings(
        jwt_key=KEY, budget_partitions=1, budget_druid_rows=2, budget_bytes=3, warn_only=("budget",)
    )
    assert budget_of(asked) == Budget(Price(1, 2, 3), enforced=False)
    with pytest.raises(SettingsError, match="warn_only"):
        load_settings(jwt_key=KEY, warn_only=("body",))


def test_warn_only_may_be_a_text_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_WARN_ONLY", "budget, rate")
    assert load_settings(jwt_key=KEY).warn_only == ("budget", "rate")


def test_calls_that_change_something_cost_what_changes_cost() -> None:
    (enrol,) = (one for one in ENDPOINTS if one.path == "/course/v1/enrol")
    assert enrol._price == CHANGES
