"""Entities: what other subgraphs of a supergraph may name by a key, and how it is found by that.

Each is found as the root field of its noun finds it, so access is the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from graph.collections import Collection
from graph.contexts import Context
from graph.learner_groups import Group
from graph.learners import Learner
from resolvers import collections, contexts, learner_groups, learners
from resolvers.nouns import InvalidInput, Session
from resolvers.opaque_texts import decode
from resolvers.paging import checked_many

ID = "id"
"""The second key of each: the global id."""
TYPE_NAME = "__typename"
REPRESENTATIONS = "representations"


class Entity(NamedTuple):
    """``key``: the field that is its natural key. ``find`` gives the object with this value of it, or raises NotFound,
    Forbidden, InvalidInput or Unauthenticated."""

    key: str
    find: Callable[[Session, str], Awaitable[Any]]

    @property
    def keys(self) -> Sequence[str]:
        return self.key, ID


async def _collection(session: Session, identifier: str) -> Collection:
    return Collection.of(await collections.collection(session, identifier))


async def _context(session: Session, context_id: str) -> Context:
    return Context.of(await contexts.context(session, context_id), session.now())


async def _group(session: Session, group_id: str) -> Group:
    return Group.of(await learner_groups.group(session, group_id))


async def _learner(session: Session, user_id: str) -> Learner:
    return Learner(user_id=await learners.learner(session, user_id))


ENTITIES: Mapping[str, Entity] = {
    Collection.__name__: Entity("identifier", _collection),
    Context.__name__: Entity("contextId", _context),
    Group.__name__: Entity("groupId", _group),
    Learner.__name__: Entity("userId", _learner),
}
"""By the names of their types."""


class Reference(NamedTuple):
    """What a representation names: an entity, by the value of its natural key."""

    type_name: str
    value: str

    async def found(self, session: Session) -> Any:
        return await ENTITIES[self.type_name].find(session, self.value)


async def entities(session: Session, representations: Sequence[object]) -> list[Any]:
    """For each representation, in their order, the entity or the error that says why there is none. Those of one type are
    read together, and what is named twice is found once. InvalidInput where there are too many."""
    asked = [*map(_asked, checked_many(representations, REPRESENTATIONS))]
    different = [*dict.fromkeys(one for one in asked if isinstance(one, Reference))]
    found = await asyncio.gather(*(one.found(session) for one in different), return_exceptions=True)
    by_reference = dict(zip(different, found, strict=True))
    return [by_reference[one] if isinstance(one, Reference) else one for one in asked]


def _asked(representation: object) -> Reference | InvalidInput:
    try:
        return reference(representation)
    except InvalidInput as error:
        return error


def reference(representation: object) -> Reference:
    """What the representation names: by its natural key where it has that, else by the global id. Other fields in it are
    passed over. InvalidInput says what would be right."""
    if not isinstance(representation, dict):
        raise InvalidInput(
            f"a representation must be an object with {TYPE_NAME} and a key", field=REPRESENTATIONS
        )
    type_name = representation.get(TYPE_NAME)
    entity = ENTITIES.get(type_name) if isinstance(type_name, str) else None
    if entity is None:
        raise InvalidInput(f"{TYPE_NAME} must be one of {', '.join(ENTITIES)}", field=TYPE_NAME)
    for key in entity.keys:
        value = representation.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InvalidInput(f"{key} of a representation must be a text", field=key)
        return Reference(str(type_name), value if key == entity.key else _natural_key(str(type_name), value))
    raise InvalidInput(
        f"a representation of {type_name} must have {' or '.join(entity.keys)}", field=entity.key
    )


def _natural_key(type_name: str, global_id: str) -> str:
    of, *parts = decode(global_id, ID)
    if of != type_name or len(parts) != 1:
        raise InvalidInput(f"{ID} must be that of a {type_name}", field=ID)
    return parts[0]
