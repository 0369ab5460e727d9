"""Groups of learners, their members, and the groups that a learner is in."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from rules.learner_groups import (
    Activity,
    Group,
    GroupRole,
    GroupStatus,
    Member,
    MembershipType,
    MemberStatus,
    Roster,
    version_of,
)
from stores.keys import MOST_KEYS
from stores.rows import Key, Row, Rows
from stores.tables import GROUP_MEMBERS, LEARNER_GROUPS, USER_GROUPS

ROSTERS_KEPT = 32 * MEGABYTE
"""Bytes of the rosters that a process keeps: of some 400 groups of 150 members."""


async def groups_by_id(rows: Rows, group_ids: Sequence[str]) -> list[Group | None]:
    """The groups as they are stored. A deleted group is there, inactive."""
    keys = [(group_id,) for group_id in group_ids]
    found, statics = await asyncio.gather(
        rows.get_many(LEARNER_GROUPS, keys), rows.statics(GROUP_MEMBERS, keys)
    )
    counts = await _members_counts(rows, statics)
    return [_group(found.get(key), statics.get(key, {}), counts.get(key, 0)) for key in keys]


async def _members_counts(rows: Rows, statics: Mapping[Key, Row]) -> dict[Key, int]:
    """The members of each group, without invited ones. Members are counted one by one in groups that have not changed
    since there is a column with the number of invited ones."""
    untold = [key for key, row in statics.items() if row["members_count"] and row["invited_count"] is None]
    rosters = await rosters_by_id(rows, [group_id for (group_id,) in untold]) if untold else []
    return {
        key: (row["members_count"] or 0) - (row["invited_count"] or 0) for key, row in statics.items()
    } | {key: len(roster.counted()) for key, roster in zip(untold, rosters, strict=True)}


async def rosters_by_id(rows: Rows, group_ids: Sequence[str]) -> list[Roster]:
    """The rosters of whole groups, former members included. A group that does not exist has an empty roster."""
    found = await rows.partitions(GROUP_MEMBERS, [(group_id,) for group_id in group_ids])
    return [_roster(group_id, found[group_id,]) for group_id in group_ids]


class Rosters:
    """Rosters that this process has read: given again while the version of the group's members is the same."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._kept: Kept[str, Roster] = Kept(ROSTERS_KEPT, _size_of_roster)

    async def load(self, group_ids: Sequence[str]) -> list[Roster]:
        """The rosters of these groups. One statement reads the versions of those that are kept, one the others."""
        kept = {group_id: self._kept[group_id] for group_id in group_ids if group_id in self._kept}
        statics = await self._rows.statics(GROUP_MEMBERS, [(group_id,) for group_id in kept]) if kept else {}
        found = {
            group_id: roster
            for group_id, roster in kept.items()
            if roster.version == _version(statics.get((group_id,), {}))
        }
        missing = [group_id for group_id in group_ids if group_id not in found]
        if missing:
            read = dict(zip(missing, await rosters_by_id(self._rows, missing), strict=True))
            self._kept.update(read)
            found |= read
        return [found[group_id] for group_id in group_ids]


def _size_of_roster(group_id: str, roster: Roster) -> int:
    return ENTRY + texts(group_id) + sum(ENTRY + texts(user_id) for user_id in roster.members)


async def roster_of(rows: Rows, group_id: str) -> Roster:
    """The roster that a conditional write may build on: it has the version even if every row is gone."""
    found = await rows.partition(GROUP_MEMBERS, (group_id,))
    if found:
        return _roster(group_id, found)
    statics = await rows.statics(GROUP_MEMBERS, [(group_id,)])
    return Roster(group_id, _version(statics.get((group_id,), {})))


@dataclass(slots=True)
class _Search:
    """The search for a page of a learner's groups: ``found`` so far, and the place to look on ``after``; None at the
    end."""

    found: list[tuple[Group, Member]]
    after: Key | None


async def groups_pages(
    rows: Rows, asked: Sequence[tuple[str, str | None, int]]
) -> list[tuple[list[tuple[Group, Member]], bool]]:
    """For each learner, place to begin after and limit: at most so many of the groups that the learner is in with the
    learner's membership, in the order of group ids, and whether there are more. All of them together."""
    searches = [_Search([], () if after is None else (after,)) for _, after, _ in asked]

    async def places(user_id: str, after: Key, limit: int) -> list[str]:
        page = await rows.partition(USER_GROUPS, (user_id,), after=after or None, limit=limit + 1)
        return [row["groupid"] for row in page]

    while open_ := [
        (search, user_id, limit)
        for search, (user_id, _, limit) in zip(searches, asked, strict=True)
        if search.after is not None and len(search.found) <= limit
    ]:
        pages = await asyncio.gather(
            *(places(user_id, search.after or (), limit) for search, user_id, limit in open_)
        )
        named: dict[str, list[str]] = {}
        for (_, user_id, _), page in zip(open_, pages, strict=True):
            named.setdefault(user_id, []).extend(page)
        active = {
            (user_id, group.group_id): (group, member)
            for user_id, found in (await memberships(rows, named)).items()
            for group, member in found
        }
        for (search, user_id, limit), page in zip(open_, pages, strict=True):
            search.found += [active[user_id, group] for group in page if (user_id, group) in active]
            search.after = (page[-1],) if len(page) > limit else None
    return [
        (search.found[:limit], len(search.found) > limit)
        for search, (_, _, limit) in zip(searches, asked, strict=True)
    ]


async def memberships_of(rows: Rows, user_ids: Sequence[str]) -> dict[str, list[tuple[Group, Member]]]:
    """All groups that each of these learners is in."""
    found = await rows.partitions(USER_GROUPS, [(user_id,) for user_id in user_ids])
    return await memberships(rows, {u: [row["groupid"] for row in found[u,]] for u in user_ids})


async def memberships_within(
    rows: Rows, most: int, user_ids: Sequence[str]
) -> list[list[tuple[Group, Member]] | None]:
    """All groups that each of these learners is in or invited to, in the order of group ids. None for a learner who is
    named in more than ``most``."""
    found = await rows.partitions(
        USER_GROUPS, [(user_id,) for user_id in user_ids], ("groupid",), limit=most + 1
    )
    places = {u: [row["groupid"] for row in found[u,]] for u in user_ids if len(found[u,]) <= most}
    whole = await memberships(rows, places)
    return [whole.get(user_id) for user_id in user_ids]


async def memberships(rows: Rows, places: dict[str, list[str]]) -> dict[str, list[tuple[Group, Member]]]:
    """The groups of ``places`` that each learner is an active member of: the index may name others.

    The rows of all these learners' groups are read together, because no two learners need be in the same groups.
    """
    keys = list(dict.fromkeys((group, user_id) for user_id, named in places.items() for group in named))
    distinct = list(dict.fromkeys(group_id for group_id, _ in keys))
    users = list(places)

    async def rows_of(some: Sequence[str]) -> dict[Key, list[Row]]:
        named = dict.fromkeys((group_id,) for user_id in some for group_id in places[user_id])
        return await rows.partitions(GROUP_MEMBERS, list(named), among=some)

    groups, parts = await asyncio.gather(
        groups_by_id(rows, distinct),
        asyncio.gather(*(rows_of(users[at : at + MOST_KEYS]) for at in range(0, len(users), MOST_KEYS))),
    )
    members = {
        (row["groupid"], row["userid"]): row
        for part in parts
        for of_group in part.values()
        for row in of_group
    }
    by_id = dict(zip(distinct, groups, strict=True))
    found: dict[str, list[tuple[Group, Member]]] = {user_id: [] for user_id in places}
    for group_id, user_id in keys:
        group, member = by_id[group_id], _member(members.get((group_id, user_id)))
        if group is None or group.status is GroupStatus.INACTIVE or member is None or not member.is_active:
            continue
        found[user_id].append((group, member))
    return found


def _group(row: Row | None, statics: Row, members_count: int) -> Group | None:
    if row is None:
        return None
    return Group(
        group_id=row["groupid"],
        name=row["name"] or "",
        description=row["description"],
        status=GroupStatus(row["status"]),
        membership_type=MembershipType(row["membershiptype"]),
        activities=tuple(Activity(pair["id"], pair["type"]) for pair in row["activities"] or ()),
        members_count=members_count,
        version=version_of(row["version"], statics.get("members_version") or 0),
        created_by=row["created_by"],
        created_on=row["created_on"],
        updated_by=row["updated_by"],
        updated_on=row["updated_on"],
    )


def group_values(group: Group) -> dict[str, Any]:
    """The columns that ``learner_group`` stores of a group, apart from its key and version."""
    return {
        "name": group.name or None,
        "description": group.description,
        "status": group.status.value,
        "membershiptype": group.membership_type.value,
        "activities": [{"id": activity.id, "type": activity.type} for activity in group.activities],
        "created_by": group.created_by,
        "created_on": group.created_on,
        "updated_by": group.updated_by,
        "updated_on": group.updated_on,
    }


def _version(statics: Row) -> int:
    return statics.get("members_version") or 0


def _roster(group_id: str, rows: Sequence[Row]) -> Roster:
    members = {row["userid"]: member for row in rows if (member := _member(row)) is not None}
    return Roster(group_id, _version(rows[0]) if rows else 0, members)


def _member(row: Row | None) -> Member | None:
    if row is None or row["role"] is None:
        return None
    return Member(
        group_id=row["groupid"],
        user_id=row["userid"],
        role=GroupRole(row["role"]),
        status=MemberStatus(row["status"]),
        created_by=row["created_by"],
        created_on=row["created_on"],
        updated_by=row["updated_by"],
        updated_on=row["updated_on"],
        removed_by=row["removed_by"],
        removed_on=row["removed_on"],
        visited=bool(row["visited"]),
        answered_for=bool(row["answered_for"]),
    )


def member_values(member: Member | None) -> dict[str, Any]:
    """The columns that ``group_member`` stores of a member, apart from its key and statics; None erases the row."""
    if member is None:
        return {name: None for name in GROUP_MEMBERS.values if name not in GROUP_MEMBERS.statics}
    return {
        "role": member.role.value,
        "status": member.status.value,
        "created_by": member.created_by,
        "created_on": member.created_on,
        "updated_by": member.updated_by,
        "updated_on": member.updated_on,
        "removed_by": member.removed_by,
        "removed_on": member.removed_on,
        "visited": member.visited,
        "answered_for": member.answered_for,
    }
