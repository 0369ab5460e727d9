"""The contexts that somebody mentors or created.

Their list only says where to look: each context itself says who its people are. A row that it does not confirm is passed
over. It is left by a call that was refused or died.
"""

from collections.abc import Callable, Sequence

from loaders.contexts import MOST_PASSED, PORTION
from loaders.library import Library
from rules.contexts import Context, ContextRelation
from stores.rows import Key, Rows
from stores.tables import CONTEXTS_OF_PEOPLE

_COLUMNS = ("relation", "contextid")


async def contexts_of_person(
    rows: Rows, library: Library, user_id: str, relation: ContextRelation | None, *, most: int
) -> list[Context] | None:
    """All of them, by relation and id, each once; of both relations without one. None if their list has more than
    ``most`` rows.

    The list is one statement. Contexts that the library has not kept are one for each hundred.
    """
    prefix = () if relation is None else (relation.value,)
    page = await rows.partition(
        CONTEXTS_OF_PEOPLE, (user_id,), prefix=prefix, limit=most + 1, columns=_COLUMNS
    )
    if len(page) > most:
        return None
    contexts = await library.contexts.load_many([row["contextid"] for row in page])
    found = {
        context.context_id: context
        for row, context in zip(page, contexts, strict=True)
        if context is not None and (user_id, ContextRelation(row["relation"])) in context.people
    }
    return list(found.values())


async def contexts_page_of_person(
    rows: Rows,
    library: Library,
    user_id: str,
    relation: ContextRelation,
    wanted: Callable[[Context], bool],
    *,
    first: int,
    after: str | None,
) -> tuple[Sequence[Context], str | None]:
    """At most ``first`` contexts of this relation that are ``wanted``, in the order of ids, beginning after one; and the
    id of the last one that was looked at, None if there are no more.

    It reads MOST_PASSED rows at most, in a few statements. So a page may have fewer than ``first``, and there may still
    be more.
    """
    found: list[Context] = []
    passed, limit = 0, first + 1
    while True:
        page = await rows.partition(
            *(CONTEXTS_OF_PEOPLE, (user_id,)),
            prefix=(relation.value,),
            after=_behind(relation, after),
            limit=limit,
            columns=_COLUMNS,
        )
        contexts = await library.contexts.load_many([row["contextid"] for row in page])
        for row, context in zip(page, contexts, strict=True):
            if len(found) == first:
                return found, after
            after = row["contextid"]
            if context is not None and (user_id, relation) in context.people and wanted(context):
                found.append(context)
        passed += len(page)
        if len(page) < limit:
            return found, None
        if passed >= MOST_PASSED:
            return found, after
        limit = PORTION


def _behind(relation: ContextRelation, context_id: str | None) -> Key | None:
    return None if context_id is None else (relation.value, context_id)
