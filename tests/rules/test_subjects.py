"""What an activity of a group is, whatever a client calls it."""

import pytest

from rules.contents import Content, ContentKind
from rules.learner_groups import Activity
from rules.subjects import is_called, roots_within, subject_of, subject_within

COURSE, UNIT = "Course", "CourseUnit"


def content(kind: ContentKind) -> Content:
    return Content("x", "X", kind, "Live", None, 1, "root", 1)


@pytest.mark.parametrize(
    ("called", "kind", "types"),
    [
        (COURSE, ContentKind.COLLECTION, (COURSE,)),
        ("course", ContentKind.COLLECTION, (COURSE,)),
        ("TextBook", ContentKind.COLLECTION, (COURSE,)),
        # The platform calls a unit so as well.
        (COURSE, ContentKind.UNIT, (UNIT,)),
        (UNIT, ContentKind.UNIT, (UNIT,)),
        # A course that is looked at as a unit of the programs that hold it.
        ("courseunit", ContentKind.COLLECTION, (UNIT,)),
        ("Quiz", ContentKind.CONTENT, ()),
        (COURSE, None, (COURSE,)),
        (UNIT, None, (UNIT,)),
        ("Meeting", None, ()),
    ],
)
def test_what_is_published_under_the_id_decides_whose_figures_count(
    called: str, kind: ContentKind | None, types: tuple[str, ...]
) -> None:
    subject = subject_of(Activity("x", called), kind and content(kind))
    assert subject.types == types
    assert subject.is_single_content == (kind is ContentKind.CONTENT)
    assert subject.is_known == (bool(types) or kind is ContentKind.CONTENT)


def test_a_collection_counts_its_own_figures_and_a_unit_those_in_each_collection() -> None:
    own = subject_of(Activity("x", COURSE), content(ContentKind.COLLECTION))
    assert [own.counts(collection) for collection in ("x", "program")] == [True, False]
    unit = subject_of(Activity("x", UNIT), content(ContentKind.UNIT))
    assert [unit.counts(collection) for collection in ("x", "program", "other")] == [False, True, True]


def test_what_stands_below_a_groups_activity_counts_there_alone_and_by_itself() -> None:
    nested = subject_within(Activity("x", COURSE), content(ContentKind.COLLECTION), ["program"])
    assert [nested.counts(collection) for collection in ("x", "program", "other")] == [True, True, False]
    unit = subject_within(Activity("x", COURSE), content(ContentKind.UNIT), ["program"])
    assert [unit.counts(collection) for collection in ("x", "program", "other")] == [False, True, False]


def test_types_compare_without_case_and_a_unit_may_be_called_a_course() -> None:
    assert is_called(Activity("x", COURSE), "COURSE")
    assert is_called(Activity("x", UNIT), "course")
    assert is_called(Activity("x", "Quiz"), "quiz")
    assert not is_called(Activity("x", COURSE), UNIT)
    assert not is_called(Activity("x", "Quiz"), COURSE)


def test_a_node_is_below_an_activity_that_is_above_it_in_a_collection() -> None:
    """In one collection the activity is the root, in another an inner unit, in the third it is beside the node."""
    above = {"program": ["program", "part"], "other": ["other", "unit"], "third": ["third"]}
    assert roots_within({"program", "unit"}, above) == ["other", "program"]
    assert roots_within({"elsewhere"}, above) == []
