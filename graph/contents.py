"""A content by itself: as it was published, or as its authors see it."""

from datetime import datetime
from typing import Annotated, Self

import strawberry
from strawberry.scalars import JSON

from graph import enums
from graph.access import Access, to
from graph.collections import MetadataFields
from graph.fields import field
from graph.info import Info
from resolvers import drafts, nouns


@strawberry.type(
    description="A content or a collection: what was published of it, or its draft.",
    directives=[to(Access.SIGNED_IN)],
)
class Content:
    identifier: str = strawberry.field(description="Its identifier.")
    name: str = strawberry.field(description="For people.")
    kind: enums.ContentKind = strawberry.field(description="What it is.")
    status: str = strawberry.field(
        description="Such as `Live`. A draft that was changed since it was published is `Draft`."
    )
    mime_type: str | None = strawberry.field(description="What it is made of.")
    version_key: str | None = strawberry.field(
        description="Changes with each change of the draft: name it in the next one. Null for what was published."
    )
    version: int | None = strawberry.field(description="Goes up with each publish. Null for a draft.")
    published_on: datetime | None = strawberry.field(
        description="When this version was published. Null for a draft."
    )
    created_by: str | None = strawberry.field(description="Who made the draft, where that is known.")
    created_on: datetime | None = strawberry.field(
        description="When the draft was made, where that is known."
    )
    updated_by: str | None = strawberry.field(description="Who changed the draft last.")
    updated_on: datetime | None = strawberry.field(description="When the draft was changed last.")
    said: strawberry.Private[nouns.Metadata]

    @classmethod
    def of_draft(cls, draft: nouns.Draft) -> Self:
        return cls(
            identifier=draft.identifier,
            name=draft.name,
            kind=draft.kind,
            status=draft.status.value,
            mime_type=draft.mime_type,
            version_key=draft.version_key,
            version=None,
            published_on=None,
            created_by=draft.created_by,
            created_on=draft.created_on,
            updated_by=draft.updated_by,
            updated_on=draft.updated_on,
            said=drafts.own_metadata(draft.metadata),
        )

    @classmethod
    def of_published(cls, content: nouns.Content, metadata: nouns.Metadata) -> Self:
        return cls(
            identifier=content.identifier,
            name=content.name,
            kind=content.kind,
            status=content.status,
            mime_type=content.mime_type,
            version_key=None,
            version=content.live_version,
            published_on=content.published_on,
            created_by=None,
            created_on=None,
            updated_by=None,
            updated_on=None,
            said=metadata,
        )

    @field(description="Everything that is said of it, by the names of the platform; without its children.")
    def metadata(self, fields: MetadataFields = None) -> JSON:
        return JSON({name: value for name, value in self.said.items() if fields is None or name in fields})


@strawberry.type
class ContentQueries:
    @field(
        description="A content, a unit or a collection as it was published, or a draft of a content or a collection. "
        "NOT_FOUND where there is none.",
        access=Access.SIGNED_IN,
    )
    async def content(
        self,
        info: Info,
        identifier: Annotated[str, strawberry.argument(description="Its identifier.")],
        mode: Annotated[
            enums.HierarchyMode, strawberry.argument(description="What was published, or the draft.")
        ] = enums.HierarchyMode.LIVE,
    ) -> Content | None:
        if mode is enums.HierarchyMode.EDIT:
            return Content.of_draft(await drafts.draft(info.context, identifier))
        return Content.of_published(*await drafts.published(info.context, identifier))
