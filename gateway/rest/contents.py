"""Contents and batches under the platform's names: everything that was published, and what Cohort itself knows of it."""

from collections.abc import Collection, Mapping
from typing import Any

from gateway.rest.envelope import moment
from resolvers.nouns import Content

PLATFORM_NAMES = frozenset(
    {
        *(
            "appIcon",
            "author",
            "board",
            "channel",
            "contentType",
            "createdBy",
            "createdOn",
            "creator",
            "description",
        ),
        *(
            "duration",
            "framework",
            "gradeLevel",
            "keywords",
            "language",
            "lastUpdatedOn",
            "license",
            "medium",
        ),
        *(
            "objectType",
            "organisation",
            "pkgVersion",
            "posterImage",
            "primaryCategory",
            "resourceType",
            "subject",
        ),
        *("thumbnail", "topic", "trackable", "versionKey", "visibility"),
    }
)
"""What the platform's clients ask for of any content, whether it was published of this one or not."""


def content_told(content: Content, published: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, status and dates are Cohort's own: what a document says of these goes stale."""
    told = {
        **published,
        "identifier": content.identifier,
        "name": content.name,
        "status": content.status,
        "leafNodesCount": content.leaf_nodes_count,
    }
    if content.published_on is not None:
        told["lastPublishedOn"] = moment(content.published_on)
    return told


def text_of(value: object) -> str:
    """What is a text on the platform is one here: clients show it, sort by it and cut it as it comes. One that is not
    known, or that the caller may not see, is empty."""
    return value if isinstance(value, str) else ""


def among(values: dict[str, Any], names: Collection[str] | None) -> dict[str, Any]:
    """Those of these names; all of them where none is named. One that there is not is passed over, as on the platform:
    what was published of one course was not of another."""
    return values if names is None else {name: value for name, value in values.items() if name in names}
