"""A tree as a publish puts it before learners: what is said of the root and of each unit of one version (R-COLL-5).

Pure: the same tree and the same release give the same result, in whichever process.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from rules.contents import Metadata
from rules.hierarchy import COLLECTION_MIME_TYPE, Json, children_of, is_collection
from rules.packages import PackageVariant

DEFAULT_VISIBILITY = "Default"
"""The visibility of what has a life of its own. A unit's is Parent."""

_LARGEST_SIZE = 2**48
"""Bytes of a leaf. What is larger was made up, and the sizes of all leaves together must be a number of 64 bits."""
_LARGEST_NUMBER = 2**53
"""The last whole number that every client reads as it is written."""


@dataclass(frozen=True, slots=True)
class Release:
    """What one publish says of everything that it publishes.

    - ``package_version``: the platform's number of the version (``next_package_version``).
    - ``published_on``: the moment of the request, as the platform writes it.
    - ``package_urls``: where each package of the collection is, for good.
    - ``sizes``: the bytes of each package that is written already.
    """

    package_version: int
    status: str
    published_on: str
    published_by: str | None
    version_key: str
    package_urls: Mapping[PackageVariant, str]
    sizes: Mapping[PackageVariant, int] = field(default_factory=dict)

    def of_each(self) -> Json:
        """Returns what is said of the root and of each unit alike."""
        said = {
            "status": self.status,
            "pkgVersion": self.package_version,
            "lastPublishedOn": self.published_on,
            "lastPublishedBy": self.published_by,
            "versionKey": self.version_key,
        }
        return {name: value for name, value in said.items() if value is not None}

    def of_packages(self) -> Json:
        """Returns where the packages of a collection are. ``downloadUrl`` leads to the spine (P-4.10)."""
        variants = {
            variant.value: {"ecarUrl": url} | ({"size": self.sizes[variant]} if variant in self.sizes else {})
            for variant, url in self.package_urls.items()
        }
        return {"downloadUrl": self.package_urls[PackageVariant.SPINE], "variants": variants}


def next_package_version(version: int, *before: Metadata) -> int:
    """Returns the ``pkgVersion`` of a version: its own number, or the next one above those ``before``. A tree that was loaded
    may have come with a higher one, and clients take no package with a lower one than they have."""
    said = [metadata.get("pkgVersion") for metadata in before]
    known = [number for number in said if isinstance(number, int | float) and abs(number) <= _LARGEST_NUMBER]
    return max(version, *(math.floor(number) + 1 for number in known), 0)


def released(tree: Json, release: Release) -> Json:
    """Returns the tree with all that a publish says of its root and its units. The given tree stays as it is.

    Each node keeps the order of its keys; what it did not have comes behind them. A collection inside that has a life
    of its own (visibility Default) and the leaves stay as they are.
    """
    if not is_collection(tree):
        return {**tree, **release.of_each()}
    packages = release.of_packages()

    def visit(node: Json) -> tuple[Json, dict[str, Json]]:
        """Returns the node as it goes live, and the distinct nodes below it in the tree's order."""
        below: dict[str, Json] = {}
        made = dict(node)
        if children := children_of(node):
            made["children"] = []
            for child in children:
                live, further = visit(child)
                made["children"].append(live)
                below.setdefault(live["identifier"], live)
                for identifier, inner in further.items():
                    below.setdefault(identifier, inner)
        if node is tree or is_unit(node):
            made |= release.of_each() | _counts(below) | packages
        return made, below

    return visit(tree)[0]


def is_unit(node: Json) -> bool:
    """Whether an inner node lives in this tree alone."""
    return is_collection(node) and node.get("visibility") != DEFAULT_VISIBILITY


def platform_moment(at: datetime) -> str:
    """Returns the moment as the platform has it in metadata: ``2026-01-31T12:00:00.000+0000``."""
    utc = at.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}+0000"


def _counts(below: Mapping[str, Json]) -> Json:
    """Returns what is counted of the distinct nodes below a collection. Counts by type are JSON texts, as the platform
    has them."""
    leaves = {identifier: node for identifier, node in below.items() if not is_collection(node)}
    return {
        "leafNodes": [*leaves],
        "leafNodesCount": len(leaves),
        "childNodes": [*below],
        "mimeTypesCount": _counted(node.get("mimeType") for node in below.values()),
        "contentTypesCount": _counted(node.get("contentType") for node in below.values()),
        "totalCompressedSize": sum(_size(node.get("size")) for node in leaves.values()),
    }


def _counted(types: Iterable[object]) -> str:
    return orjson.dumps(Counter(each for each in types if isinstance(each, str))).decode()


def _size(value: object) -> int:
    """Returns a size that was told in metadata; 0 for what can't be one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return 0
    return int(value) if 0 < value <= _LARGEST_SIZE else 0


def as_collection(node: Json) -> Json:
    """Returns the node with the MIME type of a collection, where nothing else says that it is one: a unit that has lost
    its last child is no leaf."""
    return node if is_collection(node) else {**node, "mimeType": COLLECTION_MIME_TYPE}


def without(tree: Json, leaves: Set[str]) -> Json:
    """Returns the tree without these leaves. Those that stay are numbered anew where they have a number."""
    if not children_of(tree):
        return tree
    kept = [without(child, leaves) for child in children_of(tree) if child["identifier"] not in leaves]
    numbered = [
        {**child, "index": number} if "index" in child else child for number, child in enumerate(kept, 1)
    ]
    return as_collection({**tree, "children": numbered})


def collections_in(tree: Json) -> Iterator[Json]:
    """Yields the root and each collection below it, from the top down. One in two places comes twice."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if is_collection(node):
            yield node
            stack.extend(reversed(children_of(node)))
