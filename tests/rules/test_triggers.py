"""Triggers and profiles as they come out of the log."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.commands.learners import parse_profile
from rules.errors import InvalidInput
from rules.learners import Learner
from rules.triggers import Trigger, TriggerKind, parse_trigger

IDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, categories=["L", "N"]), min_size=1)

SENT = 1_800_000_000_000
"""Epoch ms of the log, later than any profile here."""


@given(st.sampled_from(TriggerKind), IDS, IDS, IDS, st.none() | IDS)
def test_what_is_sent_is_what_is_read(
    kind: TriggerKind, user: str, collection: str, context: str, content: str | None
) -> None:
    sent = Trigger(kind, user, collection, context, content)
    expected = Trigger(kind, user) if kind is TriggerKind.PROFILE else sent
    assert parse_trigger(sent.encode()) == expected


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (b"", "not JSON", None),
        (b"{", "not JSON", None),
        (b"\xff\xfe", "not JSON", None),
        (b"[" * 2000, "not JSON", None),
        (b"null", "must be a JSON object", None),
        (b'["view"]', "must be a JSON object", None),
        (b"{}", "kind must be one of view, attempt, enrolment, profile, reconcile", "kind"),
        (b'{"kind": ["view"]}', "kind must be one of", "kind"),
        (b'{"kind": "delete", "userId": "u"}', "kind must be one of", "kind"),
        (b'{"kind": "profile"}', "userId must be a text", "userId"),
        (b'{"kind": "view", "userId": 7, "collectionId": "c", "contextId": "b"}', "must be a text", "userId"),
        (b'{"kind": "view", "userId": " ", "collectionId": "c", "contextId": "b"}', "blank", "userId"),
        (b'{"kind": "view", "userId": "u", "contextId": "b"}', "must be a text", "collectionId"),
        (b'{"kind": "enrolment", "userId": "u", "collectionId": "c"}', "must be a text", "contextId"),
        (
            b'{"kind": "view", "userId": "u", "collectionId": "c", "contextId": "b", "contentId": 7}',
            "must be a text",
            "contentId",
        ),
        (
            b'{"kind": "view", "userId": "u", "collectionId": "c", "contextId": "a\\u0000"}',
            "control characters",
            "contextId",
        ),
    ],
)
def test_a_malformed_trigger_has_a_reason(value: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        parse_trigger(value)
    assert refused.value.field == field


def test_a_profile_event_is_a_whole_profile() -> None:
    value = (
        b'{"userId": "u", "updatedOn": "2026-01-31T13:00:00+01:00", "name": "Ada",'
        b' "attributes": {"state": "Kerala"}, "unknown": 1}'
    )
    learner = parse_profile(value, SENT)
    assert (learner.user_id, learner.name, learner.attributes) == ("u", "Ada", {"state": "Kerala"})
    assert learner.updated_on is not None
    assert learner.updated_on.isoformat() == "2026-01-31T12:00:00+00:00"
    assert parse_profile(b'{"userId": "u", "updatedOn": "2026-01-31T12:00:00Z"}', SENT) == Learner(
        "u", updated_on=learner.updated_on
    )


MOMENT = b'"userId": "u", "updatedOn": "2026-01-31T12:00:00Z"'


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b"not JSON", None),
        (b"7", None),
        (b'{"updatedOn": "2026-01-31T12:00:00Z"}', "userId"),
        (b'{"userId": "", "updatedOn": "2026-01-31T12:00:00Z"}', "userId"),
        (b'{"userId": "u"}', "updatedOn"),
        (b'{"userId": "u", "updatedOn": 1769860800000}', "updatedOn"),
        (b'{"userId": "u", "updatedOn": "yesterday"}', "updatedOn"),
        (b'{"userId": "u", "updatedOn": "2026-01-31T12:00:00"}', "updatedOn"),
        (b"{" + MOMENT + b', "name": 7}', "name"),
        (b"{" + MOMENT + b', "name": "' + b"x" * 257 + b'"}', "name"),
        (b"{" + MOMENT + b', "attributes": []}', "attributes"),
        (b"{" + MOMENT + b', "attributes": "x"}', "attributes"),
        (b"{" + MOMENT + b', "attributes": {"shoe_size": "44"}}', "shoe_size"),
        (b"{" + MOMENT + b', "attributes": {"name": "Ada"}}', "name"),
        (b"{" + MOMENT + b', "attributes": {"state": 7}}', "state"),
        (b"{" + MOMENT + b', "attributes": {"state": null}}', "state"),
        (b"{" + MOMENT + b', "attributes": {"state": "' + b"x" * 257 + b'"}}', "state"),
    ],
)
def test_a_malformed_profile_has_a_reason(value: bytes, field: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_profile(value, SENT)
    assert refused.value.field == field
    assert refused.value.message


def test_a_profile_from_the_future_is_refused() -> None:
    """It would win over every later one for good. Five minutes are left to clocks that differ."""
    moment = datetime.fromtimestamp(SENT / 1000, UTC)
    for minutes, accepted in ((4, True), (6, False)):
        value = orjson.dumps({"userId": "u", "updatedOn": moment + timedelta(minutes=minutes)})
        if accepted:
            assert parse_profile(value, SENT).user_id == "u"
        else:
            with pytest.raises(InvalidInput) as refused:
                parse_profile(value, SENT)
            assert refused.value.field == "updatedOn"
