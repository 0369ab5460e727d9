"""The catalogue: collections that are searched for."""

from dataclasses import fields
from enum import Enum
from typing import Annotated, Self

import strawberry
from strawberry.utils.str_converters import to_camel_case

from graph import enums
from graph.access import Access, to
from graph.collections import Collection
from graph.fields import field
from graph.info import Info
from graph.metrics import OrderDirection
from graph.paging import After, First, PageInfo, page_size
from resolvers.collection_search import UNITS, Catalogue, CatalogueOrder, Hit, search_collections
from resolvers.opaque_texts import encode


def _filter(description: str) -> list[str] | None:
    made: list[str] | None = strawberry.field(default=None, description=description)
    return made


@strawberry.input(
    description="Which collections. All fields must hold, of each field's values one. Values are compared as they are; "
    "an empty list is as good as none."
)
class CollectionFilter:
    subject: list[str] | None = _filter("Such as `Mathematics`.")
    medium: list[str] | None = _filter("Languages of teaching, such as `Hindi`.")
    grade_level: list[str] | None = _filter("Such as `Class 5`.")
    board: list[str] | None = _filter("Boards of education.")
    framework: list[str] | None = _filter("Frameworks that the other values are from.")
    language: list[str] | None = _filter("Languages.")
    primary_category: list[str] | None = _filter("Such as `Course` or `Digital Textbook`.")
    content_type: list[str] | None = _filter("Such as `TextBook`.")
    mime_type: list[str] | None = _filter("MIME types.")
    audience: list[str] | None = _filter("Whom it is for, such as `Teacher`.")
    author: list[str] | None = _filter("Names of authors.")
    created_by: list[str] | None = _filter("User ids of those who made it.")
    status: list[str] | None = _filter(
        "`Live` without this. Other values, such as `Unlisted`, need the role creator, admin or service."
    )

    def by_name(self) -> dict[str, list[str] | None]:
        """Returns the values by the platform's names."""
        return {to_camel_case(one.name): getattr(self, one.name) for one in fields(self)}


@strawberry.enum(description="A field of collections whose values are counted.")
class CollectionFacet(Enum):
    SUBJECT = strawberry.enum_value("subject", description="Subjects.")
    MEDIUM = strawberry.enum_value("medium", description="Languages of teaching.")
    GRADE_LEVEL = strawberry.enum_value("gradeLevel", description="Grades.")
    BOARD = strawberry.enum_value("board", description="Boards of education.")
    FRAMEWORK = strawberry.enum_value("framework", description="Frameworks.")
    LANGUAGE = strawberry.enum_value("language", description="Languages.")
    PRIMARY_CATEGORY = strawberry.enum_value("primaryCategory", description="What it is for.")
    CONTENT_TYPE = strawberry.enum_value("contentType", description="Kinds of content.")
    MIME_TYPE = strawberry.enum_value("mimeType", description="MIME types.")
    AUDIENCE = strawberry.enum_value("audience", description="Whom it is for.")
    AUTHOR = strawberry.enum_value("author", description="Authors.")
    STATUS = strawberry.enum_value("status", description="Statuses.")


@strawberry.input(
    description="The order of a list of collections. What it leaves open is ordered by the identifier."
)
class CollectionOrder:
    by: enums.CollectionOrderBy = strawberry.field(description="By what.")
    direction: OrderDirection | None = strawberry.field(
        default=None, description="Without it names go up, everything else goes down."
    )

    def order(self) -> CatalogueOrder:
        descending = None if self.direction is None else self.direction is OrderDirection.DESC
        return CatalogueOrder(self.by, descending)


@strawberry.type(description="A unit that has a word of the text.", directives=[to(Access.WITH_OBJECT)])
class FoundUnit:
    identifier: str = strawberry.field(description="The unit's identifier.")
    name: str = strawberry.field(description="For people.")


@strawberry.type(
    description="A collection that was found, and its place in the list.", directives=[to(Access.WITH_OBJECT)]
)
class CollectionEdge:
    cursor: str = strawberry.field(description="The collection's place, opaque.")
    node: Collection = strawberry.field(description="The collection.")
    catalogue: strawberry.Private[Catalogue]

    @field(
        description=f"Units of it that have a word of the text, the best ones first, at most {UNITS}; none without a text."
    )
    async def units(self) -> list[FoundUnit] | None:
        units = await self.catalogue.units(self.node.identifier)
        return [FoundUnit(identifier=unit.identifier, name=unit.name) for unit in units]


@strawberry.type(
    description="A value, and how many of the collections that were found have it.",
    directives=[to(Access.WITH_OBJECT)],
)
class FacetValue:
    value: str = strawberry.field(description="The value.")
    count: int = strawberry.field(description="How many have it.")


@strawberry.type(
    description="The values of a field in all collections that were found.",
    directives=[to(Access.WITH_OBJECT)],
)
class FacetValues:
    field: CollectionFacet = strawberry.field(description="Which field.")
    values: list[FacetValue] = strawberry.field(
        description="The most frequent first, at most 100. A collection may have several."
    )


@strawberry.type(
    description="A page of the collections that were found.", directives=[to(Access.WITH_OBJECT)]
)
class CollectionConnection:
    edges: list[CollectionEdge] = strawberry.field(
        description="The collections of the page, in order. One that is gone since it was found is left out."
    )
    page_info: PageInfo = strawberry.field(description="Where the page stands in its list.")
    total_count: int = strawberry.field(description="How many were found, on all pages.")
    facets: list[FacetValues] = strawberry.field(description="Those that were asked for, in that order.")

    @classmethod
    def of(cls, catalogue: Catalogue, *, begun: bool) -> Self:
        def cursor(hit: Hit) -> str:
            return encode(*catalogue.order.cursor(hit))

        edges = [
            CollectionEdge(cursor=cursor(hit), node=Collection.of(content), catalogue=catalogue)
            for content, hit in catalogue.found
        ]
        ends = [cursor(hit) for hit in (*catalogue.hits[:1], *catalogue.hits[-1:])]
        return cls(
            edges=edges,
            page_info=PageInfo(
                has_next_page=catalogue.has_more,
                has_previous_page=begun,
                start_cursor=ends[0] if ends else None,
                end_cursor=ends[-1] if ends else None,
            ),
            total_count=catalogue.total,
            facets=[
                FacetValues(
                    field=CollectionFacet(name),
                    values=[FacetValue(value=value, count=count) for value, count in values],
                )
                for name, values in catalogue.facets.items()
            ],
        )


@strawberry.type
class CollectionSearchQueries:
    @field(
        description="Published collections by words and filters. A text finds a collection by its name, keywords and "
        "description and by the names of its units: all words must occur, the last one as the beginning of a word.",
        access=Access.SIGNED_IN,
    )
    async def search_collections(
        self,
        info: Info,
        text: Annotated[
            str | None,
            strawberry.argument(description="Words in any language, at most 500 characters; all without it."),
        ] = None,
        filter: Annotated[  # noqa: A002
            CollectionFilter | None, strawberry.argument(description="Which of them.")
        ] = None,
        order_by: Annotated[
            CollectionOrder | None,
            strawberry.argument(description="By relevance if there is a text, else by name, without this."),
        ] = None,
        first: First = None,
        after: After = None,
        facets: Annotated[
            list[CollectionFacet] | None, strawberry.argument(description="Fields whose values are counted.")
        ] = None,
    ) -> CollectionConnection | None:
        catalogue = await search_collections(
            info.context,
            text,
            {} if filter is None else filter.by_name(),
            None if order_by is None else order_by.order(),
            page_size(first),
            after,
            list(dict.fromkeys(str(facet.value) for facet in facets or ())),
        )
        return CollectionConnection.of(catalogue, begun=after is not None)
