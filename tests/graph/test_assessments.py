"""Scores, attempts and their questions as GraphQL gives them (R-ASSESS-2, R-ASSESS-4)."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.commands.enrolments import EnrolmentCall, enrol
from resolvers.opaque_texts import encode
from rules.attempts import Question
from rules.identifiers import ViewKey
from rules.tracking import TrackingMode
from rules.viewers import Role
from tests.archived_files import archive_questions
from tests.attempts import store_attempt
from tests.conftest import LEAF, NOW, Instance
from tests.graph.conftest import code, data

A = ViewKey("ann", "course", "batch", "a")
FIRST, SECOND = NOW - timedelta(days=2), NOW - timedelta(days=1)
ASKED = [
    Question("q1", FIRST, 1.0, 2.0, "mcq", "Which?", "Pick one", 12.5, [{"1": "A", "2": "B"}], [{"1": "A"}]),
    Question("q2", FIRST, 1.0, 1.0),
]
TOLD = [
    {
        "questionId": "q1",
        "type": "mcq",
        "title": "Which?",
        "description": "Pick one",
        "score": 1.0,
        "maxScore": 2.0,
        "duration": 12.5,
        "assessedOn": "2026-02-27T12:00:00.000Z",
        "options": [[{"name": "1", "value": "A"}, {"name": "2", "value": "B"}]],
        "answers": [[{"name": "1", "value": "A"}]],
    },
    {
        "questionId": "q2",
        "type": None,
        "title": None,
        "description": None,
        "score": 1.0,
        "maxScore": 1.0,
        "duration": None,
        "assessedOn": "2026-02-27T12:00:00.000Z",
        "options": [],
        "answers": [],
    },
]
QUESTIONS = """questionsSource archiveId questions { questionId type title description score maxScore duration assessedOn
    options { name value } answers { name value } }"""
SCORES = """query Scores($first: Int, $after: String, $filter: AssessmentFilter) {
  me { assessments(first: $first, after: $after, filter: $filter) {
    pageInfo { hasNextPage endCursor }
    edges { node {
      assessmentId collectionId contextId attemptsCount updatedOn
      best { score maxScore percentage } lowestScore averageScore firstScore lastScore
    } } } } }"""
PLACES = "{ me { assessments%s { edges { node { assessmentId collectionId contextId } } } } }"
SCORE_OF_ENROLMENT = """{ me { enrolment(collectionId: "course", contextId: "batch") {
    score { score maxScore percentage assessmentsCount attemptsCount } } } }"""


async def two_attempts(course: Instance, key: ViewKey = A) -> None:
    """2.0 of 3.0, then 1.33 of 3.0 (P-4.5)."""
    await store_attempt(course.shared, key, "t1", 2.0, 3.0, FIRST, questions=ASKED)
    await store_attempt(course.shared, key, "t2", 1.33, 3.0, SECOND)


async def places(course: Instance, filter: str = "") -> list[tuple[str, str, str]]:  # noqa: A002
    found = await data(course.session("ann"), PLACES % (f"(filter: {{ {filter} }})" if filter else ""))
    nodes = [edge["node"] for edge in found["me"]["assessments"]["edges"]]
    return [(node["assessmentId"], node["collectionId"], node["contextId"]) for node in nodes]


async def test_best_lowest_average_first_and_last_score_of_two_attempts(course: Instance) -> None:
    """By hand: best 2 of 3 = 66 %, average (2.0 + 1.33) / 2 = 1.665."""
    await two_attempts(course)
    await course.drain()
    connection = (await data(course.session("ann"), SCORES))["me"]["assessments"]
    (edge,) = connection["edges"]
    assert edge["node"].pop("averageScore") == pytest.approx(1.665)
    assert edge["node"] == {
        "assessmentId": "a",
        "collectionId": "course",
        "contextId": "batch",
        "best": {"score": 2.0, "maxScore": 3.0, "percentage": 66},
        "lowestScore": 1.33,
        "firstScore": 2.0,
        "lastScore": 1.33,
        "attemptsCount": 2,
        "updatedOn": "2026-02-28T12:00:00.000Z",
    }
    assert connection["pageInfo"]["hasNextPage"] is False


async def test_scores_are_read_page_by_page_and_by_what_is_wanted(course: Instance) -> None:
    await course.batch("batch-2")
    for key in (A, ViewKey("ann", "course", "batch-2", "a"), ViewKey("ann", "course", "batch", "b")):
        await two_attempts(course, key)
    await two_attempts(course, ViewKey("ann", "a", "a", "a"))
    await two_attempts(course, ViewKey("bob", "course", "batch", "a"))
    await course.drain()
    alone, first, second, of_b = (
        ("a", "a", "a"),
        ("a", "course", "batch"),
        ("a", "course", "batch-2"),
        ("b", "course", "batch"),
    )
    assert await places(course) == [alone, first, second, of_b]
    assert await places(course, 'assessmentId: "a"') == [alone, first, second]
    assert await places(course, 'collectionId: "course"') == [first, second, of_b]
    assert await places(course, 'contextId: "batch"') == [first, of_b]
    assert await places(course, 'assessmentId: "a", collectionId: "course", contextId: "batch-2"') == [second]
    assert await places(course, 'assessmentId: "nothing"') == []

    seen, after = [], None
    while True:
        wanted = {"collectionId": "course"}
        page = await data(course.session("ann"), SCORES, first=2, after=after, filter=wanted)
        page = page["me"]["assessments"]
        seen.append([edge["node"]["contextId"] for edge in page["edges"]])
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == [["batch", "batch-2"], ["batch"]]


async def test_a_list_that_passes_over_many_scores_ends_where_they_end(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement reads a portion; what is wanted is in the last one."""
    monkeypatch.setattr("resolvers.assessment_scores._PORTION", 3)
    for number in range(7):
        await two_attempts(embedded, ViewKey("ann", f"c{number}", f"c{number}", "quiz"))
    await embedded.drain()
    for number in (0, 6):
        assert await places(embedded, f'collectionId: "c{number}"') == [("quiz", f"c{number}", f"c{number}")]


async def test_attempts_come_the_latest_first_with_their_questions(course: Instance) -> None:
    await two_attempts(course)
    await store_attempt(course.shared, A, "unscored", None, None, NOW)
    await course.drain()
    query = f"""query Attempts($first: Int, $after: String) {{ me {{ assessments {{ edges {{ node {{
        assessment {{ name }} collection {{ name }} context {{ name }}
        bestAttempt {{ attemptId }} lastAttempt {{ attemptId }}
        attempts(first: $first, after: $after) {{ pageInfo {{ hasNextPage endCursor }} edges {{ node {{
            attemptId assessmentId collectionId contextId attemptedOn score {{ score maxScore }}
            assessment {{ name }} {QUESTIONS} }} }} }} }} }} }} }} }}"""
    seen: list[Any] = []
    after = None
    for more in (True, False):
        (edge,) = (await data(course.session("ann"), query, first=2, after=after))["me"]["assessments"][
            "edges"
        ]
        node = edge["node"]
        assert [node[name]["name"] for name in ("assessment", "collection", "context")] == [
            "A",
            "Course",
            "Batch batch",
        ]
        # What has no score is an attempt, but neither the best nor the last.
        assert (node["bestAttempt"]["attemptId"], node["lastAttempt"]["attemptId"]) == ("t1", "t2")
        assert node["attempts"]["pageInfo"]["hasNextPage"] is more
        after = node["attempts"]["pageInfo"]["endCursor"]
        seen += [edge["node"] for edge in node["attempts"]["edges"]]
    assert [one["attemptId"] for one in seen] == ["unscored", "t2", "t1"]
    assert [one["score"] for one in seen] == [
        None,
        {"score": 1.33, "maxScore": 3.0},
        {"score": 2.0, "maxScore": 3.0},
    ]
    assert [len(one["questions"]) for one in seen] == [0, 0, 2]
    assert seen[2] == {
        "attemptId": "t1",
        "assessmentId": "a",
        "collectionId": "course",
        "contextId": "batch",
        "attemptedOn": "2026-02-27T12:00:00.000Z",
        "score": {"score": 2.0, "maxScore": 3.0},
        "assessment": {"name": "A"},
        "questionsSource": "LIVE",
        "archiveId": None,
        "questions": TOLD,
    }


async def test_archived_questions_are_told_as_before_and_where_they_came_from(course: Instance) -> None:
    await two_attempts(course)
    await course.drain()
    asked = f"""{{ me {{ assessments {{ edges {{ node {{
        best {{ score }} attempts {{ edges {{ node {{ attemptId score {{ score }} {QUESTIONS} }} }} }} }} }} }} }} }}"""

    async def told() -> Any:
        (edge,) = (await data(course.session("ann"), asked))["me"]["assessments"]["edges"]
        return edge["node"]

    before = await told()
    archive = await archive_questions(course.shared, which=lambda one: one.attempt.attempt_id == "t1")
    after = await told()
    t2, t1 = (edge["node"] for edge in after["attempts"]["edges"])
    assert (t2["questionsSource"], t2["archiveId"]) == ("LIVE", None)
    assert (t1.pop("questionsSource"), t1.pop("archiveId")) == ("ARCHIVE", archive.request_id)
    of_before = before["attempts"]["edges"][1]["node"]
    assert (of_before.pop("questionsSource"), of_before.pop("archiveId")) == ("LIVE", None)
    assert after == before
    assert t1["questions"] == TOLD


async def test_scores_of_enrolments_and_views_are_right_before_a_worker_has_run(course: Instance) -> None:
    """Of a: 2 of 3 the best. Of b: 1 of 4. Sum 3 of 7 = 42 %. What is no leaf of the course does not count, nor does what
    was attempted elsewhere or has no score."""
    ann = course.session("ann")
    await enrol(ann, EnrolmentCall("course", "batch"))
    assert (await data(ann, SCORE_OF_ENROLMENT))["me"]["enrolment"]["score"] is None
    await two_attempts(course)
    await store_attempt(course.shared, ViewKey("ann", "course", "batch", "b"), "t1", 1.0, 4.0, FIRST)
    await store_attempt(course.shared, ViewKey("ann", "course", "batch", "c"), "t1", None, 4.0, FIRST)
    await store_attempt(course.shared, ViewKey("ann", "course", "batch", "gone"), "t1", 9.0, 9.0, FIRST)
    await store_attempt(course.shared, ViewKey("ann", "course", "course", "a"), "t9", 3.0, 3.0, FIRST)
    assert (await data(course.session("ann"), SCORE_OF_ENROLMENT))["me"]["enrolment"]["score"] == {
        "score": 3.0,
        "maxScore": 7.0,
        "percentage": 42,
        "assessmentsCount": 2,
        "attemptsCount": 3,
    }
    view = """query View($content: String!) { me { view(contentId: $content, collectionId: "course", contextId: "batch") {
        status score { score maxScore percentage } } } }"""
    found = (await data(course.session("ann"), view, content="a"))["me"]["view"]
    assert found == {
        "status": "NOT_STARTED",
        "score": {"score": 2.0, "maxScore": 3.0, "percentage": 66},
    }
    assert (await data(course.session("ann"), view, content="c"))["me"]["view"]["score"] is None


@pytest.mark.parametrize(
    ("mode", "kept"),
    [
        (TrackingMode.CARRY_FORWARD_FULL, ViewKey("ann", "a", "a", "a")),
        (TrackingMode.CARRY_FORWARD_COLLECTION, ViewKey("ann", "course", "course", "a")),
    ],
)
async def test_carried_scores_have_the_ids_that_were_asked_for(
    course: Instance, mode: TrackingMode, kept: ViewKey
) -> None:
    """Whichever batch of the course is asked, and only by courses that hold the assessment."""
    course.track(mode)
    other = {"identifier": "z", "name": "Z", "mimeType": LEAF}
    await course.publish({"identifier": "other", "name": "Other", "children": [other]})
    await course.batch("batch-2")
    await course.batch("of-other", "other")
    await two_attempts(course, kept)
    await course.drain()
    assert await places(course) == [("a", kept.collection_id, kept.context_id)]
    asked = ("a", "course", "batch-2")
    assert await places(course, 'collectionId: "course", contextId: "batch-2"') == [asked]
    assert await places(course, 'contextId: "batch-2"') == [asked]
    assert await places(course, 'collectionId: "course"') == [("a", "course", "course")]
    assert await places(course, 'collectionId: "other"') == []
    assert await places(course, 'contextId: "of-other"') == []
    wrong = PLACES % '(filter: { collectionId: "course", contextId: "of-other" })'
    assert await code(course.session("ann"), wrong) == ("INVALID_INPUT", "contextId")
    node = """query Node($id: ID!) { node(id: $id) { ... on AssessmentScores {
        contextId best { score } attempts { edges { node { id attemptId contextId } } } }
        ... on Attempt { attemptId contextId questions { questionId } } } }"""
    found = await data(
        course.session("ann"), node, id=encode("AssessmentScores", "ann", "course", "batch", "a")
    )
    assert (found["node"]["contextId"], found["node"]["best"]) == ("batch", {"score": 2.0})
    last = found["node"]["attempts"]["edges"][-1]["node"]
    assert (last["attemptId"], last["contextId"]) == ("t1", "batch")
    again = (await data(course.session("ann"), node, id=last["id"]))["node"]
    assert (again["attemptId"], len(again["questions"])) == ("t1", 2)
    await enrol(course.session("ann"), EnrolmentCall("course", "batch"))
    score = (await data(course.session("ann"), SCORE_OF_ENROLMENT))["me"]["enrolment"]["score"]
    assert (score["score"], score["maxScore"], score["attemptsCount"]) == (2.0, 3.0, 2)


async def test_a_learner_sees_only_their_own_attempts_and_a_mentor_all(course: Instance) -> None:
    await two_attempts(course)
    await course.drain()
    node = "query Node($id: ID!) { node(id: $id) { __typename id } }"
    ids = {
        "AssessmentScores": encode("AssessmentScores", "ann", "course", "batch", "a"),
        "Attempt": encode("Attempt", "ann", "course", "batch", "a", "t1"),
    }
    scores = """{ learner(userId: "ann") { assessments { edges { node {
        id attempts { edges { node { id questions { questionId } } } } } } } } }"""
    assert await code(course.session("bob"), scores) == ("FORBIDDEN", "userId")
    for viewer in (course.session("ann"), course.session("mo", Role.MENTOR)):
        (edge,) = (await data(viewer, scores))["learner"]["assessments"]["edges"]
        assert edge["node"]["id"] == ids["AssessmentScores"]
        assert edge["node"]["attempts"]["edges"][1]["node"]["id"] == ids["Attempt"]
        for type_name, id_ in ids.items():
            found = await data(viewer, node, id=id_)
            assert found == {"node": {"__typename": type_name, "id": id_}}
    for id_ in ids.values():
        assert await code(course.session("bob"), node, id=id_) == ("FORBIDDEN", "userId")


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ('assessments(after: "x") { edges { cursor } }', ("INVALID_INPUT", "after")),
        ("assessments(first: 0) { edges { cursor } }", ("INVALID_INPUT", "first")),
        (
            'assessments(filter: { assessmentId: " " }) { edges { cursor } }',
            ("INVALID_INPUT", "assessmentId"),
        ),
        ('assessments(filter: { collectionId: "" }) { edges { cursor } }', ("INVALID_INPUT", "collectionId")),
        (
            'assessments(filter: { contextId: "\\u0007" }) { edges { cursor } }',
            ("INVALID_INPUT", "contextId"),
        ),
        (
            f'assessments {{ edges {{ node {{ attempts(after: "{encode("soon", "t1")}") {{ edges {{ cursor }} }} }} }} }}',
            ("INVALID_INPUT", "after"),
        ),
    ],
)
async def test_bad_cursors_and_ids_are_named(published: Instance, asked: str, error: tuple[str, str]) -> None:
    await two_attempts(published)
    await published.drain()
    assert await code(published.session("ann"), f"{{ me {{ {asked} }} }}") == error


@pytest.mark.parametrize(
    "parts",
    [
        ("AssessmentScores", "ann", "course", "batch", "a"),
        ("Attempt", "ann", "course", "batch", "a", "t1"),
    ],
)
async def test_what_there_is_not_is_not_found(published: Instance, parts: tuple[str, ...]) -> None:
    answer = await code(published.session("ann"), f'{{ node(id: "{encode(*parts)}") {{ id }} }}')
    assert answer[0] == "NOT_FOUND"
