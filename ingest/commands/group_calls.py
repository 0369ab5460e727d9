"""How every call about a group of learners begins and ends: the group is read, and those who follow it are told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from loaders.learner_groups import groups_by_id, roster_of
from loaders.session import Session
from rules.errors import NotFound
from rules.group_changes import ItemError
from rules.identifiers import checked_id
from rules.learner_groups import Group, GroupStatus, Roster
from stores.engines import Stores
from stores.events import Message
from stores.rows import Rows
from stores.topics import GROUP_CHANGES

MOST_ATTEMPTS = 100
"""Lost conditional writes in a row, each to another call that went through: a whole class may join at once."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The group after a call, and the items of it that were refused while the others were not."""

    group: Group
    item_errors: tuple[ItemError, ...] = ()


async def stored_group(rows: Rows, group_id: str) -> tuple[Group, Roster]:
    """Read anew: what a command decides by must not be from before another one. NotFound."""
    group_id = checked_id(group_id, "groupId")
    (group,), roster = await asyncio.gather(groups_by_id(rows, [group_id]), roster_of(rows, group_id))
    if group is None or group.status is GroupStatus.INACTIVE:
        raise NotFound(f"there is no group {group_id}", field="groupId")
    return group, roster


async def announce(session: Session, group_id: str, errors: Sequence[ItemError]) -> Changed:
    """The end of a call: those who follow the group are told, changed or not, since a call that is sent again may
    have lost its message the first time."""
    session.refresh()
    group = await session.loaders.groups.load(group_id)
    if group is None or group.status is GroupStatus.INACTIVE:
        raise NotFound(f"group {group_id} was deleted meanwhile", field="groupId")
    await send_change(session.stores, group_id, group.version)
    return Changed(group, tuple(errors))


async def send_change(stores: Stores, group_id: str, version: int) -> None:
    value = orjson.dumps({"groupId": group_id, "version": version})
    await stores.events.send(GROUP_CHANGES.name, Message(group_id, value))
