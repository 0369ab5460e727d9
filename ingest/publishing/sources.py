"""What a publish starts from: the draft as its authors left it, or the live tree without leaves that were retired."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ingest.publishing.versions import own_version
from ingest.writes.retrying import Attempts
from loaders.drafts import drafts_by_id, edit_form
from loaders.session import Shared
from rules.contents import RETIRED, ContentKind
from rules.drafts import Draft, DraftStatus, EditForm, nested
from rules.errors import Conflict, InvalidInput, NotFound
from rules.form_checks import check_form, check_nested, named
from rules.form_edits import without_leaves
from rules.hierarchy import Json, checked_hierarchy
from rules.publication import as_collection, without
from stores.rows import Row
from stores.tables import CONTENTS


@dataclass(frozen=True, slots=True)
class Source:
    """``tree``: nested, and checked. ``version_key``: of the draft that it is made from. ``retired``: leaves that were left
    out, as they are retired."""

    tree: Json
    version_key: str
    retired: Sequence[str] = ()


async def draft_source(shared: Shared, identifier: str, version_key: str | None) -> Source:
    """Reads the draft, its edit form, and the metadata of all leaves.

    Raises Conflict if the draft is not the one with this version key (None: whichever there is). Raises InvalidInput
    that names the ids of what can't go live.
    """
    draft, form = await _draft_and_form(shared, identifier, version_key)
    if draft.kind is ContentKind.CONTENT:
        return Source(_checked({**draft.metadata, "identifier": identifier}), draft.version_key)
    leaves = await _Leaves.read(shared, form)
    retired = leaves.retired()
    kept = without_leaves(form, frozenset(retired))
    check_form(kept, leaves.known(kept.leaves), shared.form_limits, published=leaves.published_units())
    leaves.check_may_go_live(kept.leaves)
    units = {unit: _as_unit(unit, metadata) for unit, metadata in kept.units.items()}
    root = as_collection({**draft.metadata, "identifier": identifier})
    metadata = await leaves.metadata(kept.leaves)

    def tree() -> Json:
        check_nested(root, kept, metadata, shared.form_limits, "identifier")
        return _checked(nested(root, replace(kept, units=units), metadata))

    return Source(await asyncio.to_thread(tree), draft.version_key, retired)


async def live_source(shared: Shared, identifier: str, left_out: Sequence[str]) -> Source | None:
    """Returns the live tree without these leaves. None if it has none of them."""
    (content,) = await shared.library.current([identifier])
    if content is None or content.kind is not ContentKind.COLLECTION:
        raise NotFound(f"there is no collection {identifier}", field="identifier")
    live = await shared.library.hierarchy(content)
    retired = [leaf for leaf in left_out if leaf in live.nodes]
    if not retired:
        return None
    tree = without(live.root, frozenset(retired))
    return Source(tree, str(live.root.get("versionKey") or ""), retired)


async def _draft_and_form(shared: Shared, identifier: str, version_key: str | None) -> tuple[Draft, EditForm]:
    rows = shared.stores.rows
    async for _ in Attempts():
        (draft,) = await drafts_by_id(rows, [identifier])
        if draft is None:
            raise NotFound(f"there is no draft of {identifier}", field="identifier")
        if version_key is not None and draft.version_key != version_key:
            raise Conflict(
                f"{identifier} was changed since: its version key is another one", field="versionKey"
            )
        if draft.status is DraftStatus.RETIRED:
            raise InvalidInput(f"{identifier} is retired and can't be published", field="identifier")
        form = await edit_form(rows, draft)
        if form is not None:
            return draft, form
    raise Conflict(f"{identifier} is being changed by others; try again", field="identifier")


def _checked(tree: Json) -> Json:
    return checked_hierarchy(tree).root


def _as_unit(identifier: str, metadata: Mapping[str, Any]) -> Json:
    return as_collection({**metadata, "identifier": identifier})


class _Leaves:
    """The leaves of an edit form, and what is known of each: its draft, and the content that is published of it."""

    def __init__(self, shared: Shared, form: EditForm, drafts: Mapping[str, Draft], rows: Mapping[str, Row]):
        self._shared = shared
        self._form = form
        self._drafts = drafts
        self._rows = rows

    @classmethod
    async def read(cls, shared: Shared, form: EditForm) -> "_Leaves":
        leaves = form.leaves
        columns = ("identifier", "root", "kind", "status", "live_version", "metadata_left")
        keys = [(identifier,) for identifier in (*leaves, *form.units)]
        drafts, rows = await asyncio.gather(
            drafts_by_id(shared.stores.rows, leaves), shared.stores.rows.get_many(CONTENTS, keys, columns)
        )
        by_id = {draft.identifier: draft for draft in drafts if draft is not None}
        live = {row["identifier"]: row for row in rows.values() if row["live_version"] is not None}
        return cls(shared, form, by_id, live)

    def retired(self) -> list[str]:
        return [
            leaf
            for leaf in self._form.leaves
            if (leaf in self._drafts and self._drafts[leaf].status is DraftStatus.RETIRED)
            or (leaf in self._rows and self._rows[leaf]["status"] == RETIRED)
        ]

    def published_units(self) -> set[str]:
        """Returns the units of the form that are published by themselves, such as the courses of a program."""
        return {unit for unit in self._form.units if own_version(self._rows.get(unit)) is not None}

    def known(self, leaves: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Returns the leaves that exist, with what of their metadata tells whether they may stand where they do."""
        units = {leaf for leaf, row in self._rows.items() if row["kind"] == ContentKind.UNIT.value}
        return {
            leaf: {"visibility": "Parent"} if leaf in units else {}
            for leaf in leaves
            if leaf in self._drafts or leaf in self._rows
        }

    def check_may_go_live(self, leaves: Sequence[str]) -> None:
        """Raises InvalidInput that names the leaves that nobody has published."""
        if never := [leaf for leaf in leaves if not self._is_published(leaf)]:
            raise InvalidInput(
                f"these were never published, so the collection can't go live with them: {named(never)}",
                field="identifier",
            )

    def _is_published(self, leaf: str) -> bool:
        if own_version(self._rows.get(leaf)) is not None:
            return True
        draft = self._drafts.get(leaf)
        return draft.imported if draft is not None else leaf in self._rows

    async def metadata(self, leaves: Sequence[str]) -> dict[str, Json]:
        """Returns the whole metadata of each leaf; of a collection that is published by itself, its whole live tree."""
        found: dict[str, Json] = {}
        from_rows, from_trees = list[str](), list[str]()
        for leaf in leaves:
            row = self._rows.get(leaf)
            if row is None or (leaf in self._drafts and own_version(row) is None):
                found[leaf] = {**self._drafts[leaf].metadata, "identifier": leaf}
            elif row["kind"] != ContentKind.CONTENT.value or row["metadata_left"]:
                from_trees.append(leaf)
            else:
                from_rows.append(leaf)
        stored = await self._shared.stores.rows.get_many(
            CONTENTS, [(leaf,) for leaf in from_rows], ("identifier", "metadata")
        )
        for leaf in from_rows:
            text = stored.get((leaf,), {}).get("metadata")
            if text is None:  # of a release that did not keep it in the row
                from_trees.append(leaf)
            else:
                found[leaf] = {**orjson.loads(text), "identifier": leaf}
        return found | await self._from_trees(from_trees)

    async def _from_trees(self, leaves: Sequence[str]) -> dict[str, Json]:
        """Reads the trees that hold these leaves: few leaves have more metadata than their rows keep."""
        places = {leaf: (self._rows[leaf]["root"], self._rows[leaf]["live_version"]) for leaf in leaves}
        trees = await self._shared.library.trees.hierarchies(
            [(root, root, version) for root, version in places.values()]
        )
        found: dict[str, Json] = {}
        for (leaf, place), tree in zip(places.items(), trees, strict=True):
            node = tree.node(leaf) if tree is not None else None
            if node is None:
                raise Conflict(f"{leaf} is being published; try again", field="identifier")
            if place[0] == leaf and self._form.root in (tree.nodes if tree else ()):
                raise InvalidInput(f"below itself: {self._form.root} is in {leaf}", field="identifier")
            found[leaf] = node
        return found
