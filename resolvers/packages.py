"""Packages of published collections: links to them (R-COLL-5, D-PACKAGES)."""

from dataclasses import dataclass
from datetime import datetime

from loaders.session import Shared
from rules.contents import Content
from rules.errors import NotFound
from rules.identifiers import checked_id
from rules.packages import PATH, PackageVariant, package_name

__all__ = ["PATH", "PackageLink", "PackageVariant", "package", "package_link"]


@dataclass(frozen=True, slots=True)
class PackageLink:
    """``url`` opens the package for anybody, until ``expires_on``. ``size`` in bytes."""

    url: str
    size: int
    expires_on: datetime


async def package(shared: Shared, content: Content, variant: PackageVariant) -> PackageLink | None:
    """The package of a collection's live version. None if it was published without one. StoreUnavailable."""
    return await _link(shared, content.identifier, content.live_version, variant)


async def package_link(shared: Shared, identifier: str, version: int, variant: PackageVariant) -> PackageLink:
    """A package by its URL that stays, for anybody. NotFound if what it is of is not live by itself, or
    the version is not live yet or too old."""
    identifier = checked_id(identifier, "identifier")
    (content,) = await shared.library.current([identifier])
    live = (
        content is not None
        and content.root == identifier
        and not content.is_retired
        and version <= content.live_version
    )
    found = await _link(shared, identifier, version, variant) if live else None
    if found is None:
        raise NotFound(f"there is no package of version {version} of {identifier}", field="identifier")
    return found


async def _link(shared: Shared, identifier: str, version: int, variant: PackageVariant) -> PackageLink | None:
    name = package_name(identifier, version, variant)
    found = await shared.stores.blobs.find(name)
    if found is None:
        return None
    url = await shared.stores.blobs.link(name, shared.link_ttl)
    return PackageLink(url, found.size, shared.now() + shared.link_ttl)
