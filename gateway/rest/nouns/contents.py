"""Contents under the platform's names: all metadata that was published, and what Cohort itself knows."""

from collections.abc import Collection, Mapping
from typing import Any

from gateway.rest.framework.moments import moment
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
"""Metadata that the platform's clients ask for of any content, whether this one was published with it or not."""


def content_metadata(content: Content, published: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a content. Counts, status and dates are Cohort's own, because those in the document get out of date."""
    metadata = {
        **published,
        "identifier": content.identifier,
        "name": content.name,
        "status": content.status,
        "leafNodesCount": content.leaf_nodes_count,
    }
    if content.published_on is not None:
        metadata["lastPublishedOn"] = moment(content.published_on)
    return metadata


def text_of(value: object) -> str:
    """The text; an empty one if it is unknown or the caller may not see it.

    A field that is a text on the platform is always a text here, because clients sort by it and cut it unchecked.
    """
    return value if isinstance(value, str) else ""


def among(values: dict[str, Any], names: Collection[str] | None) -> dict[str, Any]:
    """The values with these names; all values if ``names`` is None.

    An unknown name is ignored, as on the platform: each course is published with other metadata.
    """
    return values if names is None else {name: value for name, value in values.items() if name in names}
