"""The subjects of a group page: what its activities are to Cohort."""

from collections.abc import Iterable, Mapping, Sequence

from loaders.session import Session
from rules.aggregates import UNIT_TYPE
from rules.errors import NotFound
from rules.learner_groups import Activity, Group
from rules.subjects import Subject, is_called, roots_within, subject_of, subject_within
from stores.tables import NODE_ROOTS


async def page_subjects(
    session: Session, group: Group, named: Mapping[str, str | None] | None
) -> list[Subject]:
    """The subjects of the named activities, or of all that the group has where ``named`` is None.

    ``named``: types by id, None for a type that the caller leaves out. The group's own come first, in its order; then
    what stands below them, in the order of the call. NotFound where an id is neither.
    """
    if named is None:
        return await own_subjects(session, group.activities)
    known = {activity.id: activity for activity in group.activities}
    for activity_id, type_ in named.items():
        if activity_id in known and type_ is not None and not is_called(known[activity_id], type_):
            raise _unknown(group, f"{type_} {activity_id}")
    own = await own_subjects(session, [activity for activity in group.activities if activity.id in named])
    others = {id_: type_ for id_, type_ in named.items() if id_ not in known}
    return [*own, *await _subjects_below(session, group, others)]


async def own_subjects(session: Session, activities: Sequence[Activity]) -> list[Subject]:
    """The subjects of these activities of a group."""
    contents = await session.loaders.contents.load_many([activity.id for activity in activities])
    return [subject_of(activity, content) for activity, content in zip(activities, contents, strict=True)]


async def _subjects_below(session: Session, group: Group, named: Mapping[str, str | None]) -> list[Subject]:
    """The subjects of what stands somewhere below the group's activities."""
    if not named:
        return []
    contents = await session.loaders.contents.load_many(list(named))
    held = await session.stores.rows.partitions(NODE_ROOTS, [(id_,) for id_ in named], ("node", "root"))
    roots = {id_: sorted({row["root"] for row in held[id_,]}) for id_ in named}
    outer = sorted(set().union(*roots.values()))
    await session.loaders.contents.load_many(outer)  # whose trees follow
    published = await session.library.published(outer)
    own = {activity.id for activity in group.activities}
    subjects = []
    for (id_, type_), content in zip(named.items(), contents, strict=True):
        ancestors = {
            root: tree.nodes[id_].ancestors
            for root in roots[id_]
            if (tree := published.get(root, (None, None))[1]) is not None and id_ in tree.nodes
        }
        within = roots_within(own, ancestors)
        if content is None or not within:
            raise _unknown(group, id_ if type_ is None else f"{type_} {id_}")
        subjects.append(subject_within(Activity(id_, type_ or UNIT_TYPE), content, within))
    return subjects


def _unknown(group: Group, what: str) -> NotFound:
    return NotFound(
        f"group {group.group_id} has no activity {what}, and none with such a unit", field="activityIds"
    )


def versions_of(subjects: Iterable[Subject]) -> tuple[object, ...]:
    """What tells two answers about these subjects apart: what each is, and which published version is live."""
    return tuple(map(_version, subjects))


def _version(subject: Subject) -> tuple[object, ...]:
    content = subject.content
    live = None if content is None else (content.root, content.live_version)
    within = None if subject.within is None else tuple(sorted(subject.within))
    return subject.activity.id, subject.types, within, live
