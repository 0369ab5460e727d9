"""Packages of a published collection: their names and URLs, and the documents in them (R-COLL-5, P-4.10).

A package is a zip that the platform calls ECAR. It has a manifest (every node once, flat), the nested tree, and icons.
Documents come in pieces, one or a few for each node: a large tree is never there a second time as text.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from hashlib import blake2b
from itertools import chain
from urllib.parse import quote

import orjson

from rules.hierarchy import Json, children_of, is_collection, walk

PATH = "/content/v1/package"
"""The path of the gateway under which every package has a URL that stays."""
ROOT = "packages"
MANIFEST = "manifest.json"
HIERARCHY = "hierarchy.json"

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")
_MADE = re.compile(r"id-[0-9a-f]{32}")
_NOT_IN_MANIFEST = frozenset({"screenshots", "posterImage", "index", "depth", "children"})
_OF_A_CHILD = ("identifier", "name", "objectType", "description", "index", "depth")


class PackageVariant(Enum):
    """What a package has in it. The values are the platform's."""

    SPINE = "spine"
    """The documents, and the icons of the collection and its units."""
    ONLINE = "online"
    """The documents alone."""


def safe_id(identifier: str) -> str:
    """Returns the id itself where it can be part of a file's name anywhere, else a digest of it."""
    if _PLAIN.fullmatch(identifier) and not _MADE.fullmatch(identifier):
        return identifier
    return f"id-{blake2b(identifier.encode(), digest_size=16).hexdigest()}"


def packages_of(identifier: str) -> str:
    """Returns what the names of all files of a collection's packages begin with."""
    return f"{ROOT}/{safe_id(identifier)}"


def package_name(identifier: str, version: int, variant: PackageVariant) -> str:
    """Returns the blob name of a package. It is saved under the last part."""
    file_name = f"{safe_id(identifier)}_{version}_{variant.value}.ecar"
    return f"{packages_of(identifier)}/{version}/{file_name}"


def icon_name(identifier: str, version: int, digest: str, suffix: str) -> str:
    """Returns the blob name of an icon. It follows from the icon's content, so storing it again changes nothing."""
    return f"{packages_of(identifier)}/{version}/icons/{digest}.{suffix}"


def version_of(name: str) -> int:
    """Returns the version that a blob of a package or an icon is of."""
    return int(name.split("/")[2])


def package_url(public_url: str, identifier: str, version: int, variant: PackageVariant) -> str:
    """Returns the URL of a package. It never changes; each request to it is led to a fresh link."""
    return f"{public_url.rstrip('/')}{PATH}/{quote(identifier, safe='')}/{version}/{variant.value}"


def icon_urls(tree: Json) -> list[str]:
    """Returns the distinct URLs of the icons of the collection and its units, in the tree's order."""
    return list(dict.fromkeys(url for node in walk(tree) if (url := _icon(node, tree)) is not None))


def icon_paths(tree: Json, icons: Mapping[str, str]) -> dict[str, str]:
    """Returns for each URL of an icon that is stored where it is in the package, below the first node that has it.

    ``icons``: the blob names, by URL.
    """
    paths: dict[str, str] = {}
    for node in walk(tree):
        url = _icon(node, tree)
        if url is not None and url in icons and url not in paths:
            paths[url] = f"{safe_id(node['identifier'])}/{icons[url].rpartition('/')[2]}"
    return paths


def manifest(tree: Json, message_id: str, paths: Mapping[str, str]) -> Iterator[bytes]:
    """Yields the manifest: the metadata of every node once, the root first.

    ``paths``: where icons are in the package, by URL. Other icons keep their URL.
    """
    count = len({node["identifier"] for node in walk(tree)})
    header = _header("ekstep.content.archive", "1.2", tree, message_id)
    archive = orjson.dumps({"count": count, "ttl": 24})
    yield header[:-1] + b',"archive":' + archive[:-1] + b',"items":['
    seen: set[str] = set()
    for node in walk(tree):
        if node["identifier"] not in seen:
            comma = b"," if seen else b""
            seen.add(node["identifier"])
            yield comma + orjson.dumps(_item(node, tree, paths))
    yield b"]}}"


def nested_document(tree: Json, message_id: str) -> Iterator[bytes]:
    """Yields the nested tree as it was published, every key in its place."""
    header = _header("sunbird.collection.hierarchy", "1.0", tree, message_id)
    return chain((header[:-1] + b',"collection":',), _nested(tree), (b"}",))


def _header(identifier: str, version: str, tree: Json, message_id: str) -> bytes:
    published = tree.get("lastPublishedOn")
    return orjson.dumps(
        {
            "id": identifier,
            "ver": version,
            "ts": published if isinstance(published, str) else "",
            "params": {"resmsgid": message_id},
        }
    )


def _item(node: Json, tree: Json, paths: Mapping[str, str]) -> Json:
    """An item of the manifest. Clients that import a package take what is not the root for a part of it by its
    visibility, and look for the file in ``downloadUrl`` alone."""
    item = {name: value for name, value in node.items() if name not in _NOT_IN_MANIFEST and value is not None}
    if "children" in node:
        item["children"] = [
            {name: child[name] for name in _OF_A_CHILD if name in child} for child in children_of(node)
        ]
    if node is not tree:
        item["visibility"] = "Parent"
    if node.get("contentDisposition") == "online-only":
        item.pop("downloadUrl", None)
    elif url := node.get("downloadUrl") or node.get("artifactUrl"):
        item["downloadUrl"] = url
    icon = _icon(node, tree)
    if icon is not None and icon in paths:
        item["appIcon"] = paths[icon]
    return item


def _nested(node: Json) -> Iterator[bytes]:
    """Yields a node, its keys in order and its children one by one."""
    children = children_of(node)
    if not children:
        yield orjson.dumps(node)
        return
    names = list(node)
    place = names.index("children")
    before = orjson.dumps({name: node[name] for name in names[:place]})
    after = orjson.dumps({name: node[name] for name in names[place + 1 :]})
    yield before[:-1] + (b"," if place else b"") + b'"children":['
    for number, child in enumerate(children):
        if number:
            yield b","
        yield from _nested(child)
    yield b"]" + (b"," if len(after) > 2 else b"") + after[1:]


def _icon(node: Json, tree: Json) -> str | None:
    """The icon's URL, of a node whose icon comes along. Those of leaves do not: they come with the leaf."""
    icon = node.get("appIcon")
    return icon if isinstance(icon, str) and icon and (node is tree or is_collection(node)) else None
