"""Loads a collection that was made elsewhere: what authors see of it, and what learners see (R-COLL-9).

In this order: the drafts of its leaves, its edit form with its draft, the live version, and what follows from that. The
draft has a version key of its own until all is done. So the same document loaded again completes what an attempt left
that died, and else changes nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ingest.commands.draft_changes import check_author
from ingest.jobs.reconcile import reconcile
from ingest.publishing.direct import publish_tree
from ingest.publishing.search_sync import sync_search
from ingest.writes.drafts import insert_draft, replace_draft
from loaders.drafts import draft_values, drafts_by_id
from loaders.session import Session
from rules.contents import ContentKind
from rules.drafts import Draft, DraftStatus, EditForm
from rules.errors import Conflict, InvalidInput
from rules.hierarchy import Hierarchy, checked_hierarchy, document_of
from rules.loading import LoadedTree, is_older, loaded_tree, status_of, unfinished
from stores.rows import Equal, Rows, Write
from stores.tables import CONTENTS, DRAFTS

_YIELDS = 60_000_000
"""Microseconds by which drafts of leaves are written in the past: what an author writes at the same time counts."""
_AT_ONCE = 1_000
"""Drafts of leaves that are written at a time."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a tree.

    - ``version``: the live one; None if nothing of it is published.
    - ``changed``: False if all of it was here already.
    - ``leaves_kept``: leaves whose draft here stays: it is newer, or an author's.
    - ``drifted``: learners whose figures are being recomputed.
    """

    identifier: str
    version: int | None
    changed: bool
    leaf_nodes_count: int
    leaves_kept: int = 0
    drifted: int = 0


async def load_hierarchy(session: Session, document: object, *, replace_edits: bool = False) -> Loaded:
    """Loads nested JSON as the platform's read API returns it, the bare tree or a whole answer. It is live at once.

    - A root that says it is a draft, as an answer of ``mode=edit`` does, says that it is live then.
    - A leaf that was published on its own, or that an author made or edited here, keeps its draft.
    - Of a new version, learners are recomputed whose figures differ.

    Needs the role creator, admin or service. Raises InvalidInput that names the path of what is wrong,
    also of a root that is retired. Raises Conflict if an author has edited the collection here, unless ``replace_edits``; or if somebody else writes it meanwhile.
    """
    check_author(session)
    hierarchy = await asyncio.to_thread(_as_live, document)
    tree = await asyncio.to_thread(loaded_tree, hierarchy, live=True)
    return await load_tree(session, tree, hierarchy, replace_edits=replace_edits)


def _as_live(document: object) -> Hierarchy:
    hierarchy = checked_hierarchy(document_of(document))
    status = status_of(hierarchy.root)
    if status is DraftStatus.RETIRED:
        raise InvalidInput("collection.status is Retired: it can't go live", field="status")
    if status is DraftStatus.DRAFT:
        return checked_hierarchy({**hierarchy.root, "status": DraftStatus.LIVE.value})
    return hierarchy


async def load_tree(
    session: Session, tree: LoadedTree, live: Hierarchy | None, *, replace_edits: bool = False
) -> Loaded:
    """Loads a tree for authors, and ``live``, which may differ, for learners. Raises the Conflict of ``load_hierarchy``."""
    rows, root = session.stores.rows, tree.root
    stored = await loadable(rows, tree, replace_edits=replace_edits)
    if is_loaded(stored, tree):
        content = await rows.get(CONTENTS, (root.identifier,), ("live_version", "leaf_nodes_count")) or {}
        count = content.get("leaf_nodes_count") or 0
        return Loaded(root.identifier, content.get("live_version"), False, count)

    kept = await write_leaves(session, tree.leaves)
    if live is None:
        await _write_draft(rows, stored, root, tree.form)
        return Loaded(root.identifier, None, True, len(tree.form.leaves), kept)
    begun = replace(root, version_key=unfinished(root.version_key))
    if stored is None or stored.version_key != begun.version_key:
        await _write_draft(rows, stored, begun, tree.form)
    publication = await publish_tree(session, live)
    await sync_search(session.shared, root.identifier)
    drifted = 0
    if publication.version > 1:
        drifted = (await reconcile(session.shared, collection_id=root.identifier)).drifted
    # If an author has edited it meanwhile, the draft is theirs, and it began with this tree.
    as_begun = Equal("version_key", begun.version_key)
    await rows.update_if(DRAFTS, (root.identifier,), {"version_key": root.version_key}, [as_begun])
    return Loaded(root.identifier, publication.version, True, publication.leaf_nodes_count, kept, drifted)


async def loadable(rows: Rows, tree: LoadedTree, *, replace_edits: bool = False) -> Draft | None:
    """Returns the draft that loading the tree replaces. Raises Conflict if it is an author's, unless ``replace_edits``."""
    (stored,) = await drafts_by_id(rows, [tree.root.identifier])
    if stored is not None and not stored.imported and not replace_edits:
        raise Conflict(
            f"{stored.identifier} has been edited here since: it is not replaced",
            field="identifier",
        )
    return stored


def is_loaded(stored: Draft | None, tree: LoadedTree) -> bool:
    """Whether all of the tree is here already."""
    return stored is not None and stored.version_key == tree.root.version_key


async def write_leaves(session: Session, leaves: Mapping[str, Draft]) -> int:
    """Writes the drafts of leaves. Returns how many have another one here that stays.

    These are no conditional writes, as there are thousands. They are written as if a minute ago, so an author's always
    win.
    """
    rows = session.stores.rows
    new, other, kept = await _leaves_to_write(rows, leaves)
    timestamp = session.shared.change_moment() - _YIELDS
    writes = [
        *(Write(DRAFTS, (leaf.identifier,), _said(draft_values(leaf)), timestamp=timestamp) for leaf in new),
        *(Write(DRAFTS, (leaf.identifier,), draft_values(leaf), timestamp=timestamp) for leaf in other),
    ]
    for start in range(0, len(writes), _AT_ONCE):
        await rows.write(*writes[start : start + _AT_ONCE])
    return kept


async def _leaves_to_write(rows: Rows, leaves: Mapping[str, Draft]) -> tuple[list[Draft], list[Draft], int]:
    """Returns the drafts that are new, those that replace another one, and how many leaves keep what is here."""
    keys = [(identifier,) for identifier in leaves]
    contents, stored = await asyncio.gather(
        rows.get_many(CONTENTS, keys, ("root",)), rows.get_many(DRAFTS, keys, ("version_key",))
    )
    alone = {identifier for (identifier,), content in contents.items() if content["root"] == identifier}
    keys_there = {identifier: row["version_key"] for (identifier,), row in stored.items()}
    candidates = [leaf for identifier, leaf in leaves.items() if identifier not in alone]
    new = [leaf for leaf in candidates if keys_there.get(leaf.identifier) is None]
    differ = [leaf for leaf in candidates if keys_there.get(leaf.identifier) not in (None, leaf.version_key)]
    found = await drafts_by_id(rows, [leaf.identifier for leaf in differ])
    other = [
        leaf
        for draft, leaf in zip(found, differ, strict=True)
        if draft is None or (draft.imported and not is_older(leaf.metadata, draft.metadata))
    ]
    return new, other, len(alone) + len(differ) - len(other)


async def _write_draft(rows: Rows, stored: Draft | None, draft: Draft, form: EditForm) -> None:
    """Writes the draft of the root with its edit form. Raises Conflict if somebody else has written it meanwhile."""
    own = form if draft.kind is ContentKind.COLLECTION else None
    if stored is None:
        written = await insert_draft(rows, draft, own)
    else:
        written = await replace_draft(rows, stored, draft, own, version_key=draft.version_key) is not None
    if not written:
        raise Conflict(f"{draft.identifier} is being edited by somebody else; try again", field="identifier")


def _said(values: Mapping[str, object]) -> dict[str, object]:
    """Returns the values that a new row has. A null that is written is a tombstone to Cassandra."""
    return {name: value for name, value in values.items() if value is not None}
