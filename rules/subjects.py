"""What an activity of a group is to Cohort: whose figures tell how far a member is in it."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from rules.aggregates import COLLECTION_TYPE, UNIT_TYPE
from rules.contents import Content, ContentKind
from rules.learner_groups import Activity, is_published_type


@dataclass(frozen=True, slots=True)
class Subject:
    """An activity and what is published under its id.

    ``types`` are those of the figures that count: COLLECTION_TYPE, UNIT_TYPE, or both. There are none for a single
    content, where views count, and for what Cohort does not know. ``within``: the collections in which a unit's figures
    are looked at, None for all.
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
        """Whether Cohort can tell how far anybody is in it."""
        return bool(self.types) or self.is_single_content

    def counts(self, collection_id: str) -> bool:
        """Whether figures in this collection are the activity's: its own, or those of a unit there."""
        if collection_id == self.activity.id:
            return COLLECTION_TYPE in self.types
        return UNIT_TYPE in self.types and (self.within is None or collection_id in self.within)


def subject_of(activity: Activity, content: Content | None) -> Subject:
    """Returns the subject of an activity of a group. The id decides what it is: a client may call a unit ``Course``, as
    the platform does. A collection that is called ``CourseUnit`` is meant as a unit, in any collection that holds it. A
    content that is gone is still known by its type."""
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
    """Returns the subject of what is no activity of the group, but stands in these collections, which are. It is a unit
    there, and, where it is a collection of its own, that as well."""
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
    """Returns the collections in which one of the activities is above a node. ``ancestors`` has the node's ancestors in
    each collection that holds it."""
    return sorted(root for root, above in ancestors.items() if not activity_ids.isdisjoint(above))
