"""The endpoints of contents and collections.

The platform has them twice: of contents (its version 3) and of collections (version 4). Each has a path of the service and
others by which clients reach it through the platform's gateway and portal (P-2.9).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.rest.framework.endpoints import Endpoint
from gateway.rest.framework.envelope import COLLECTION, CONTENT, Envelope
from gateway.rest.framework.prices import CallPrice
from gateway.rest.nouns.collections import codes, contents, hierarchies, publications
from gateway.rest.nouns.collections.answers import (
    ChildrenAdded,
    ChildrenRemoved,
    CollectionRead,
    ContentRead,
    DraftTold,
    HierarchyTold,
    HierarchyUpdated,
    PublishTold,
    Retired,
)
from gateway.rest.nouns.collections.requests import (
    AddToHierarchy,
    CreateCollection,
    CreateContent,
    PublishCollection,
    PublishContent,
    ReadContent,
    ReadHierarchy,
    RemoveFromHierarchy,
    Retire,
    UpdateCollection,
    UpdateContent,
    UpdateHierarchy,
    UpdateRelation,
)
from resolvers.nouns import Access, Price

CONTENTS = ("/content/v3", "/content/v1", "/action/content/v3")
"""The service's own path, the public one, and that of portals."""
COLLECTIONS = ("/collection/v4", "/collection/v1", "/action/collection/v1")
TREES = ("/content/v3", "/course/v1", "/action/content/v3")
"""As of contents; the public path of their trees is that of courses."""

_TREE = "The tree of a collection, or of a unit by its id alone; below a bookmark if one is given."


def _calls(envelope: Envelope, noun: str, *endpoints: Endpoint[Any]) -> list[Endpoint[Any]]:
    """The endpoints in this envelope, with the noun before their ids."""
    return [replace(one, envelope=envelope, api_id=f"api.{noun}.{one.api_id}") for one in endpoints]


def _under(prefixes: Sequence[str], endpoints: Sequence[Endpoint[Any]]) -> list[Endpoint[Any]]:
    return [one.under(f"{prefix}{one.path}") for prefix in prefixes for one in endpoints]


_READ_TREE: Sequence[Endpoint[Any]] = tuple(
    Endpoint(
        *("GET", f"/hierarchy/{{identifier}}{rest}", "hierarchy.get", _TREE, ReadHierarchy, HierarchyTold),
        hierarchies.read,
        codes.READ_HIERARCHY,
        max_age=0,
        tag=hierarchies.live_version,
        price=CallPrice(Price(5, 0, 100_000)),
        access=Access.SIGNED_IN,
    )
    for rest in ("", "/{bookmark_id}")
)
_EDIT_TREE: Sequence[Endpoint[Any]] = (
    Endpoint(
        *("PATCH", "/hierarchy/update", "hierarchy.update", "Changes units and what stands in them."),
        *(UpdateHierarchy, HierarchyUpdated, hierarchies.update),
        codes.editing("ERR_HIERARCHY_UPDATE_DENIED"),
        access=Access.AUTHORS,
    ),
    Endpoint(
        *("PATCH", "/hierarchy/add", "hierarchy.add", "Adds contents to a unit, behind the others."),
        *(AddToHierarchy, ChildrenAdded, hierarchies.add),
        codes.editing("ERR_ADD_HIERARCHY_DENIED"),
        access=Access.AUTHORS,
    ),
    Endpoint(
        *("DELETE", "/hierarchy/remove", "hierarchy.remove", "Removes children of a unit."),
        *(RemoveFromHierarchy, ChildrenRemoved, hierarchies.remove),
        codes.editing("ERR_REMOVE_HIERARCHY_DENIED"),
        deletes_by_body=True,
        access=Access.AUTHORS,
    ),
)
_UPDATE_RELATION: Endpoint[Any] = Endpoint(
    *("POST", "/hierarchy/update/relation/{identifier}", "hierarchy.update.relation"),
    "Changes what a child says of itself in a unit; or without a child, looks for the published relations.",
    *(UpdateRelation, ChildrenRemoved, hierarchies.update_relation),
    codes.editing("ERR_HIERARCHY_UPDATE_DENIED"),
    body_optional=True,
    access=Access.AUTHORS,
)
_RETIRE: Endpoint[Any] = Endpoint(
    *("DELETE", "/retire/{identifier}", "retire", "Retires it: learners keep it, and nobody can begin it."),
    *(Retire, Retired, contents.retire, codes.CONTENT),
    access=Access.AUTHORS,
)


def _publish(request: type[PublishContent] | type[PublishCollection]) -> tuple[Endpoint[Any], ...]:
    path, summary = "publish/{identifier}", "Publishes the draft, and answers before that is done"
    return (
        Endpoint(
            *("POST", f"/{path}", "publish", f"{summary}.", request, PublishTold),
            *(publications.publish, codes.PUBLISH),
            body_optional=True,
            access=Access.AUTHORS,
        ),
        Endpoint(
            *("POST", f"/unlisted/{path}", "publish.unlisted", f"{summary}; searches do not find it."),
            *(request, PublishTold, publications.publish_unlisted, codes.PUBLISH),
            body_optional=True,
            access=Access.AUTHORS,
        ),
    )


_CONTENT: Sequence[Endpoint[Any]] = (
    Endpoint(
        *("POST", "/create", "create", "Creates a content or a collection.", CreateContent, DraftTold),
        *(contents.create, codes.CONTENT),
        access=Access.AUTHORS,
    ),
    Endpoint(
        *("GET", "/read/{identifier}", "read", "The metadata of a content.", ReadContent, ContentRead),
        *(contents.read, codes.CONTENT, 0),
        access=Access.SIGNED_IN,
    ),
    Endpoint(
        *("PATCH", "/update/{identifier}", "update", "Changes metadata.", UpdateContent, DraftTold),
        *(contents.update, codes.CONTENT),
        access=Access.AUTHORS,
    ),
    _RETIRE,
    *_publish(PublishContent),
)
_COLLECTION: Sequence[Endpoint[Any]] = (
    Endpoint(
        *("POST", "/create", "create", "Creates a collection.", CreateCollection, DraftTold),
        *(contents.create_collection, codes.CONTENT),
        access=Access.AUTHORS,
    ),
    Endpoint(
        *("GET", "/read/{identifier}", "read", "The metadata of a collection.", ReadContent, CollectionRead),
        *(contents.read_collection, codes.CONTENT, 0),
        access=Access.SIGNED_IN,
    ),
    Endpoint(
        *("PATCH", "/update/{identifier}", "update", "Changes metadata.", UpdateCollection, DraftTold),
        *(contents.update, codes.CONTENT),
        access=Access.AUTHORS,
    ),
    _RETIRE,
    *_publish(PublishCollection),
)

ENDPOINTS: Sequence[Endpoint[Any]] = (
    *_under(CONTENTS, _calls(CONTENT, "content", *_CONTENT)),
    *_under(TREES, _calls(CONTENT, "content", *_EDIT_TREE, *_READ_TREE)),
    *_under(
        COLLECTIONS,
        _calls(COLLECTION, "collection", *_COLLECTION, *_EDIT_TREE, _UPDATE_RELATION, *_READ_TREE),
    ),
)
