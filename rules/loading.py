"""What a tree that is loaded means for the drafts of the collection and of its leaves (R-COLL-9)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import orjson

from rules.contents import ContentKind, Metadata
from rules.drafts import Draft, DraftStatus, EditForm, flattened, without_children
from rules.hierarchy import Hierarchy, Json, is_collection


@dataclass(frozen=True)
class LoadedTree:
    """A tree as drafts: that of its root, its edit form, and a draft of each leaf by id.

    A version key follows from what was loaded, so the same document loaded again finds its own draft.
    """

    root: Draft
    form: EditForm
    leaves: Mapping[str, Draft]


def loaded_tree(hierarchy: Hierarchy, *, live: bool) -> LoadedTree:
    """Returns the drafts of a checked tree. ``live``: whether it is what learners see; else authors were at work on it.

    Metadata keeps what follows from a place, such as ``index``, so that these keys keep their position when the tree is
    written again (rules/drafts.py).
    """
    form, leaves = flattened(hierarchy.root)
    root = hierarchy.root
    return LoadedTree(
        replace(_draft(root, live=live), metadata=without_children(root)),
        form,
        {identifier: _draft(leaf, live=live) for identifier, leaf in leaves.items()},
    )


def _draft(node: Json, *, live: bool) -> Draft:
    status = status_of(node)
    if live and status is not DraftStatus.UNLISTED:
        status = DraftStatus.LIVE
    return Draft(
        identifier=node["identifier"],
        kind=ContentKind.COLLECTION if is_collection(node) else ContentKind.CONTENT,
        status=status,
        metadata=node,
        version_key=version_key_of(node),
        mime_type=node.get("mimeType"),
        imported=True,
    )


def version_key_of(document: Json) -> str:
    """Returns the version key of a draft that is what ``document`` says, and nothing else."""
    return blake2b(orjson.dumps(document), digest_size=16).hexdigest()


def unfinished(version_key: str) -> str:
    """Returns the version key of a root's draft whose loading is under way, or died."""
    return f"{version_key}-loading"


def status_of(node: Json) -> DraftStatus:
    """Returns the status of a draft by what the platform calls it. One that is reviewed, say, is a draft; a node that does
    not say it is live."""
    said = node.get("status")
    if said is None or said == "Flagged":
        return DraftStatus.LIVE
    try:
        return DraftStatus(said)
    except ValueError:
        return DraftStatus.DRAFT


def is_older(node: Metadata, than: Metadata) -> bool:
    """Whether a leaf is older in one tree than in another that has it too. False if they do not say it."""
    mine, others = _version(node), _version(than)
    if mine is not None and others is not None and mine != others:
        return bool(mine < others)
    # The platform writes all of its moments in one form and one zone, so that they compare as texts.
    mine, others = node.get("lastUpdatedOn"), than.get("lastUpdatedOn")
    return isinstance(mine, str) and isinstance(others, str) and mine < others


def _version(node: Metadata) -> Any:
    version = node.get("pkgVersion")
    return version if isinstance(version, int | float) else None
