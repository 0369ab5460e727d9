"""What an activity of a group is to Cohort: whose figures tell how a member stands in it."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from rules.aggregates import COLLECTION_TYPE, UNIT_TYPE
from rules.contents import Content, ContentKind
from rules.learner_groups import Activity, is_published_type


@dataclass(frozen=True, slots=True)
class Subject:
    """An activity and what is published under its id.

    ``types``: of the figures that count, COLLECTION_TYPE and UNIT_TYPE; none of a single content, whose views count, and
    of what Cohort knows nothing of. ``within``: the collections in which a unit's figures are looked at; None for all.
    """

    activity: Activity
    content: Content | None
    types: tuple[str, ...] = ()
    within: frozenset[str] | None = None

    @property
    def is_single_content(self) -> bool:
        return self.content is not None and self.content.kind is ContentKind.CONTENT

    @property
    def is_known(self) -> bool:
        """Whether Cohort can tell how anybody stands in it."""
        return bool(self.types) or self.is_single_content

    def counts(self, collection_id: str) -> bool:
        """Whether figures in this collection are the activity's: its own, or those of a unit there."""
        if collection_id == self.activity.id:
            return COLLECTION_TYPE in self.types
        return UNIT_TYPE in self.types and (self.within is None or collection_id in self.within)


def subject_of(activity: Activity, content: Content | None) -> Subject:
    """Of an activity of a group. What the id is decides: a client may call a unit ``Course``, as the platform does. A
    collection that is called ``CourseUnit`` is meant as a unit, in whichever collection holds it. What is gone is still
    known by its type."""
    called_unit = activity.type.casefold() == UNIT_TYPE.casefold()
    if content is None:
        known = (UNIT_TYPE if called_unit else COLLECTION_TYPE,) if is_published_type(activity.type) else ()
        return Subject(activity, None, known)
    match content.kind:
        case ContentKind.CONTENT:
            return Subject(activity, content)
        case ContentKind.UNIT:
            return Subject(activity, content, (UNIT_TYPE,))
        case ContentKind.COLLECTION:
            return Subject(activity, content, (UNIT_TYPE if called_unit else COLLECTION_TYPE,))


def subject_within(activity: Activity, content: Content, roots: Iterable[str]) -> Subject:
    """Of what is no activity of the group itself, but stands in these collections, which are: a unit there, and if it is
    a collection of its own, that as well."""
    if content.kind is ContentKind.CONTENT:
        return Subject(activity, content)
    own = (COLLECTION_TYPE,) if content.kind is ContentKind.COLLECTION else ()
    return Subject(activity, content, (*own, UNIT_TYPE), frozenset(roots))


def is_called(activity: Activity, type_: str) -> bool:
    """Whether a client may name the activity so: types compare without case, and the platform calls all that is
    published ``Course``."""
    called, known = type_.casefold(), activity.type.casefold()
    return called == known or (called == COLLECTION_TYPE.casefold() and known == UNIT_TYPE.casefold())


def roots_within(activity_ids: Set[str], ancestors: Mapping[str, Iterable[str]]) -> list[str]:
    """Of the collections that hold a node, with its ancestors in each, those in which one of the activities is above it."""
    return sorted(root for root, above in ancestors.items() if not activity_ids.isdisjoint(above))
