"""An author at work: a course that was published, and what is stored of its draft."""

from typing import Any

from ingest.commands.drafts import NewContent, create_content
from loaders.drafts import drafts_by_id, edit_form
from loaders.session import Session, Shared
from resolvers.drafts import edit_tree
from rules.drafts import Draft, EditForm
from rules.viewers import Role, Viewer
from stores.tables import HIERARCHIES
from tests.conftest import LEAF, Instance

Json = dict[str, Any]


def author(shared: Shared, user: str = "ada") -> Session:
    return Session(Viewer(user, frozenset({Role.CREATOR})), shared)


async def write_leaves(shared: Shared, *identifiers: str) -> None:
    for identifier in identifiers:
        await create_content(author(shared), NewContent(f"Leaf {identifier}", LEAF, identifier))


async def stored(cohort: Instance, identifier: str = "course") -> tuple[Draft, EditForm]:
    """The draft and its whole form, as another process reads them."""
    (draft,) = await drafts_by_id(cohort.stores.rows, [identifier])
    assert draft is not None
    form = await edit_form(cohort.stores.rows, draft)
    assert form is not None
    return draft, form


async def children(cohort: Instance, identifier: str = "course") -> dict[str, list[str]]:
    _, form = await stored(cohort, identifier)
    return {parent: list(below) for parent, below in form.children.items()}


async def tree_of(cohort: Instance, identifier: str = "course") -> Json:
    return (await edit_tree(author(cohort.shared), identifier)).root


async def forms(cohort: Instance) -> set[tuple[str, str]]:
    """The partitions of edit forms that there are, of drafts or left behind."""
    rows = cohort.stores.rows
    return {
        (row["identifier"], row["mode"])
        for token_range in rows.ranges(4)
        async for page in rows.walk(HIERARCHIES, token_range)
        for row in page.rows
        if row["mode"].startswith("edit:")
    }
