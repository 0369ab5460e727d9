"""Scores on a group's page: of members and of the activity, the same wherever they are read from (R-ASSESS-8)."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.aggregation import aggregate
from ingest.calls.placing import ViewCall
from rules.identifiers import ViewKey
from rules.learner_groups import Activity
from rules.plans import write_token
from rules.tracking import TrackingMode
from tests.attempts import store_attempt
from tests.conftest import NOW, Instance
from tests.graph.conftest import data
from tests.graph.test_group_activities import arrived, at, class_of, figures, members
from tests.graph.test_group_subjects import finish, group_of, mentor

PAGE = """
    query ($ids: [String!], $mode: AggregationMode, $fresh: String) {
      group(groupId: "g") {
        activities(activityIds: $ids, mode: $mode, fresh: $fresh) {
          activityId source complete
          agg { metric value lastUpdatedOn }
          members { edges { node {
            learner { userId }
            agg { metric value lastUpdatedOn }
            score { score maxScore percentage assessmentsCount attemptsCount }
          } } }
        }
      }
    }
"""
SCORES = ("averageScore", "score:", "max_score:", "attempts_count:")


async def attempted(
    instance: Instance,
    user: str,
    content: str,
    score: float,
    most: float,
    minute: int,
    place: tuple[str, str] = ("course", "batch"),
) -> None:
    key = ViewKey(user, *place, content)
    on = NOW + timedelta(minutes=minute)
    await store_attempt(instance.shared, key, f"{content}-{minute}", score, most, on)


async def scored_class(instance: Instance) -> None:
    """Of a Ada has 2.0 and then 1.33 of 3 points, of c 1 of 7; Bob 1 of 3 of a; Cyd, who is not enrolled, 3 of 3."""
    await class_of(instance)
    await attempted(instance, "ada", "a", 2.0, 3.0, 1)
    await attempted(instance, "ada", "a", 1.33, 3.0, 2)
    await attempted(instance, "ada", "c", 1.0, 7.0, 3)
    await attempted(instance, "bob", "a", 1.0, 3.0, 4)
    await attempted(instance, "cyd", "a", 3.0, 3.0, 5)


def scores(of: Any) -> dict[str, tuple[float | None, str | None]]:
    """By metric: the value, and the minute of NOW's hour in which it last changed."""
    return {
        one["metric"]: (one["value"], one["lastUpdatedOn"] and one["lastUpdatedOn"][14:16])
        for one in of["agg"]
        if one["metric"].startswith(SCORES)
    }


def check_course(course: Any) -> None:
    """Percentages: Ada 3 of 10 points are 30, Bob 1 of 3 are 33, on average 31.5. Of a Ada's best and Bob's, 2 and 1, are
    1.5 on average. Cyd is not enrolled and counts for nothing."""
    assert course["complete"]
    assert scores(course) == {
        "averageScore": (31.5, "04"),
        "score:a": (1.5, "04"),
        "score:c": (1.0, "03"),
    }
    found = members(course)
    assert scores(found["ada"]) == {
        "score:a": (2.0, "02"),
        "max_score:a": (3.0, "02"),
        "attempts_count:a": (2, "02"),
        "score:c": (1.0, "03"),
        "max_score:c": (7.0, "03"),
        "attempts_count:c": (1, "03"),
    }
    assert found["ada"]["score"] == {
        "score": 3.0,
        "maxScore": 10.0,
        "percentage": 30,
        "assessmentsCount": 2,
        "attemptsCount": 3,
    }
    assert scores(found["cyd"])["score:a"] == (3.0, "05")
    assert (scores(found["mo"]), found["mo"]["score"]) == ({}, None)


async def page(instance: Instance, seconds: float = 0, **variables: Any) -> dict[str, Any]:
    """The group's activities by id, in another process, so much later."""
    group = (await data(at(instance, seconds, "mo"), PAGE, **variables))["group"]
    return {activity["activityId"]: activity for activity in group["activities"]}


async def test_scores_are_the_same_from_rows_states_and_the_last_aggregation(
    published: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scored_class(published)
    await published.drain()
    await aggregate(published.shared)
    await arrived(published)
    rows = await page(published)
    check_course(rows["course"])
    # Unit 1 has a and b: Ada 2 of 3 are 66, Bob 33.
    assert scores(rows["unit-1"]) == {"averageScore": (49.5, "04"), "score:a": (1.5, "04")}
    batch = await page(published, mode="BATCH")
    monkeypatch.setattr("rules.plans.CHEAP_KEYS", -1)
    states = await page(published, 3600)
    for found, source in ((rows, "ROWS"), (states, "STATES"), (batch, "BATCH")):
        for activity in found.values():
            assert activity.pop("source") == source
    assert rows == states
    assert {id_: one for id_, one in rows.items() if id_ != "quiz"} == {
        id_: one for id_, one in batch.items() if id_ != "quiz"
    }


async def test_a_page_with_a_token_has_attempts_that_no_worker_has_seen(embedded: Instance) -> None:
    """Ada and Bob had been seen before they attempted anything."""
    await embedded.publish()
    await embedded.batch()
    await scored_class(embedded)
    assert scores((await page(embedded))["course"]) == {"averageScore": (None, None)}
    fresh = await page(embedded, fresh=write_token(NOW))
    check_course(fresh["course"])
    await embedded.drain()
    assert (await page(embedded, 3600))["course"]["agg"] == fresh["course"]["agg"]


async def test_a_page_from_rows_costs_as_many_statements_with_scores_as_without(embedded: Instance) -> None:
    await embedded.publish()
    await embedded.batch()
    await scored_class(embedded)
    spent = []
    for hour in range(2):
        with embedded.stores.rows.meter.measure() as counted:
            found = await page(embedded, 3600 * hour, ids=["course", "unit-1"])
        spent.append((len(scores(found["course"])), counted))
        await embedded.drain()
    (before, without), (after, with_scores) = spent
    assert (before, after) == (1, 3)
    assert with_scores == without
    assert not {"select assessment_attempt", "select assessment_aggregator_v2"} & with_scores.keys()


async def test_scores_in_each_assessment_are_typed_and_may_be_chosen_in_agg(embedded: Instance) -> None:
    """Of a Ada's best is 2 of 3 (66 %), Bob's 1 of 3: on average 1.5. Of c Ada has 1 of 7: 14 %."""
    await embedded.publish()
    await embedded.batch()
    await scored_class(embedded)
    await embedded.drain()
    query = """{ group(groupId: "g") { activities(activityIds: ["course", "quiz"]) {
        agg(metrics: [SCORE]) { metric value } assessments { contentId averageScore lastAttemptedOn }
        members { edges { node { agg(metrics: [ATTEMPTS_COUNT]) { metric value }
          assessments { contentId best { score maxScore percentage } attemptsCount lastAttemptedOn } } } } } } }"""
    course, quiz = (await data(embedded.session("mo"), query))["group"]["activities"]
    minute = "2026-03-01T12:{:02}:00.000Z".format
    assert course["agg"] == [{"metric": "score:a", "value": 1.5}, {"metric": "score:c", "value": 1.0}]
    assert course["assessments"] == [
        {"contentId": "a", "averageScore": 1.5, "lastAttemptedOn": minute(4)},
        {"contentId": "c", "averageScore": 1.0, "lastAttemptedOn": minute(3)},
    ]
    ada, _bob, _cyd, mo = (edge["node"] for edge in course["members"]["edges"])
    assert ada == {
        "agg": [{"metric": "attempts_count:a", "value": 2}, {"metric": "attempts_count:c", "value": 1}],
        "assessments": [
            {
                "contentId": "a",
                "attemptsCount": 2,
                "lastAttemptedOn": minute(2),
                "best": {"score": 2.0, "maxScore": 3.0, "percentage": 66},
            },
            {
                "contentId": "c",
                "attemptsCount": 1,
                "lastAttemptedOn": minute(3),
                "best": {"score": 1.0, "maxScore": 7.0, "percentage": 14},
            },
        ],
    }
    assert mo == {"agg": [], "assessments": []}
    # Nothing is published under this id: nobody knows of attempts.
    assert (quiz["agg"], quiz["assessments"]) == ([], [])
    assert quiz["members"]["edges"][0]["node"]["assessments"] is None


@pytest.mark.parametrize("mode", [TrackingMode.STRICT, TrackingMode.CARRY_FORWARD_FULL])
async def test_a_single_content_has_the_scores_of_where_it_was_taken(
    embedded: Instance, mode: TrackingMode
) -> None:
    """Ann took a by itself with 2 of 4 points, Bob in the batch with 3 of 4, Cleo attempted it by itself without a view: 1
    of 4. On average 2 points; 50, 75 and 25 %."""
    embedded.track(mode)
    await embedded.publish()
    await embedded.batch()
    await group_of(embedded, Activity("a", "Quiz"), users=("ann", "bob", "cleo", "dan"))
    await finish(embedded, "ann", ViewCall("a"))
    await finish(embedded, "bob", ViewCall("a", "course", "batch"))
    alone = ("a", "a")
    in_batch = alone if mode is TrackingMode.CARRY_FORWARD_FULL else ("course", "batch")
    await attempted(embedded, "ann", "a", 2.0, 4.0, 1, alone)
    await attempted(embedded, "bob", "a", 3.0, 4.0, 2, in_batch)
    await attempted(embedded, "bob", "a", 1.0, 4.0, 3, in_batch)
    await attempted(embedded, "cleo", "a", 1.0, 4.0, 4, alone)
    await embedded.drain()
    (found,) = (await data(mentor(embedded), PAGE))["group"]["activities"]
    assert (figures(found)["averageScore"], scores(found)["score:a"]) == (50.0, (2.0, "04"))
    by_user = {
        user: scores(node).get("attempts_count:a", (0, None))[0] for user, node in members(found).items()
    }
    assert by_user == {"ann": 1, "bob": 2, "cleo": 1, "dan": 0}
