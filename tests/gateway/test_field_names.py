"""Which names of a call are understood."""

from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from gateway.rest.framework.field_names import FieldNames
from gateway.rest.framework.requests import RequestModel
from gateway.rest.routes import ENDPOINTS
from tests.gateway.test_openapi import every_kind_of

NAMES = FieldNames.of(
    ["contentId", "courseId", "at", "note"],
    optional=["courseId", "at", "note"],
    times=["at"],
    passed_over={"rootId"},
)


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        ({"contentId": "a", "COURSEID": "b"}, {"contentId": "a", "courseId": "b"}),
        ({"contentid": "a", "contentId": "a"}, {"contentId": "a"}),
        ({"AT": " "}, {}),
        ({"at": "null", "note": "null"}, {"note": "null"}),
        ({"rootId": "r", "other": 1, "paid": True}, {"rootId": "r", "other": 1, "paid": True}),
    ],
)
def test_names_are_understood_in_any_case(sent: dict[str, Any], understood: dict[str, Any]) -> None:
    assert NAMES.understood(sent, strict=True) == understood


@pytest.mark.parametrize(
    "name", ["programId", "content_id", "courseIds", "channelID", "root_ids", "contendId", "notes"]
)
def test_what_may_be_meant_for_something_known_is_refused_in_a_body_alone(name: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        NAMES.understood({name: "x"}, strict=True)
    assert refused.value.context is not None
    assert refused.value.context["name"] == name
    assert NAMES.understood({name: "x"}, strict=False) == {name: "x"}


def test_no_kind_of_object_has_two_names_that_differ_in_case_alone() -> None:
    assert ENDPOINTS
    for kind in every_kind_of(RequestModel):
        assert len(kind.field_names.by_lowercase) == len(kind.model_fields), kind
