"""How every call about a group of learners begins and ends: it reads the group, and tells those who follow it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from loaders.learner_groups import groups_by_id, roster_of
from loaders.session import Session
from rules.errors import NotFound
from rules.group_changes import AddMember, ItemError, Kind, MemberChange
from rules.identifiers import checked_id
from rules.learner_groups import Group, GroupStatus, Roster
from stores.engines import Stores
from stores.events import Message
from stores.rows import Rows
from stores.topics import GROUP_CHANGES

MOST_ATTEMPTS = 100
"""How many conditional writes in a row may be lost, each to another call that went through. A whole class may join at
once."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The group after a call, and the items of the call that were refused while the others were not. ``added``: the user
    ids of the members whom the call added, or found to be there already."""

    group: Group
    item_errors: tuple[ItemError, ...] = ()
    added: tuple[str, ...] = ()


async def stored_group(rows: Rows, group_id: str) -> tuple[Group, Roster]:
    """Reads the group anew: a command must not decide by what is from before another one. Raises NotFound."""
    group_id = checked_id(group_id, "groupId")
    (group,), roster = await asyncio.gather(groups_by_id(rows, [group_id]), roster_of(rows, group_id))
    if group is None or group.status is GroupStatus.INACTIVE:
        raise NotFound(f"there is no group {group_id}", field="groupId")
    return group, roster


async def announce(
    session: Session, group_id: str, errors: Sequence[ItemError], members: Sequence[MemberChange] = ()
) -> Changed:
    """Ends a call, which changed these members: tells those who follow the group, whether it changed or not.

    If a call is sent again, its message may have been lost the first time.
    """
    session.refresh()
    group = await session.loaders.groups.load(group_id)
    if group is None or group.status is GroupStatus.INACTIVE:
        raise NotFound(f"group {group_id} was deleted meanwhile", field="groupId")
    await send_change(session.stores, group_id, group.version)
    refused = {error.id for error in errors if error.kind is Kind.MEMBER}
    added = (change.user_id for change in members if isinstance(change, AddMember))
    return Changed(group, tuple(errors), tuple(user for user in dict.fromkeys(added) if user not in refused))


async def send_change(stores: Stores, group_id: str, version: int) -> None:
    value = orjson.dumps({"groupId": group_id, "version": version})
    await stores.events.send(GROUP_CHANGES.name, Message(group_id, value))
