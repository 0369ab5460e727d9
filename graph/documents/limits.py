"""How large a document may be. All of it is checked before anything else is: a fragment is measured once, however often it is
used, so that measuring takes as long as the document is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from graph.documents.introspection import SCHEMA, TYPE
from resolvers.nouns import BEYOND, DocumentTooLarge

WarnOnly = Literal["documents", "budget", "rate"]
"""Limits that may be tried out first: what is over them is logged, counted and let through."""
Introspection = Literal["open", "authenticated", "off"]
"""Whom the schema tells about itself: everybody, who has a token, nobody."""
DEEPEST_NESTING = 100
"""Selection sets within each other, those of fragments too. Each is an object of the answer, and a list around it where the
field has one: orjson writes 254 within each other. Python's stack would take some more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one document and its answer, by the names of their settings."""

    longest_document: int = 32_768
    """Characters, in which names, texts, blanks and comments are bounded too."""
    most_tokens: int = 2_000
    """And as many comments, and lines."""
    most_operations: int = 50
    most_fields: int = 1_000
    """Fields of an operation, those of fragments wherever they are used. What tools ask of the schema has 229."""
    deepest: int = 20
    """Fields within fields. Trees may have 32 levels, but nobody shows that many."""
    most_aliases: int = 50
    most_root_fields: int = 50
    most_directives: int = 100
    most_errors: int = 100
    """Errors that an answer tells."""
    document_cache: int = 33_554_432
    """Bytes that kept documents may take (graph/documents/known_documents.py)."""
    most_schema_values: int = 20_000
    """Values of an answer about the schema; all that tools ask for has some 15,000."""
    warn_only: frozenset[WarnOnly] = field(default_factory=frozenset)
    introspection: Introspection = "authenticated"
    """Others are told what is wrong with a document, but not what may have been meant."""


class Size(NamedTuple):
    """The size of an operation as it is executed, with fragments in place."""

    fields: int = 0
    deepest: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0
    schema: int = 0
    """How often it asks for ``__schema``."""
    type: int = 0
    nesting: int = 0
    """Selection sets within each other."""


class Excess(NamedTuple):
    """A limit that a document is over. ``lifted``: the settings let it through."""

    limit: str
    most: int
    found: int
    lifted: bool
    at: OperationDefinitionNode | None

    @property
    def error(self) -> GraphQLError:
        return too_large(self.limit, self.most, self.found, self.at)


_TOLD = {
    "longest_document": "the document has {found:,} characters; at most {most:,} are allowed: send what is long as variables",
    "most_tokens": "the document has more than {most:,} tokens (names, values and signs), comments or lines: ask for less, send "
    "lists as variables",
    "most_operations": "the document has {found:,} operations; at most {most:,} are allowed: send those that are asked for",
    "most_fields": "the operation has {found:,} fields, those of fragments counted wherever they are used; at most {most:,} are "
    "allowed: ask for fewer, or in several requests",
    "deepest": "the operation is {found:,} fields deep; at most {most:,} are allowed",
    "most_aliases": "the operation has {found:,} aliases, those of fragments counted wherever they are used; at most {most:,} are "
    "allowed",
    "most_root_fields": "the operation has {found:,} fields at the top; at most {most:,} are allowed: send several requests",
    "most_directives": "the operation has {found:,} directives, those of fragments counted wherever they are used; at most {most:,} "
    "are allowed",
    SCHEMA: "the operation asks for __schema {found:,} times; once is allowed",
    TYPE: "the operation asks for __type {found:,} times; once is allowed",
    "most_schema_values": "the answer would have more than {most:,} values of the schema: ask for less at a time",
    "nesting": "the operation has {found:,} selections within each other, those of fragments too; at most {most:,} are allowed",
    "comparisons": "the document asks for the same fields in too many places to compare them all (more than {most:,} steps): ask "
    "for each field once",
    "fragment_uses": "the operations of the document share too many fragments (more than {most:,} uses): send several documents",
}
"""What a client is told of each limit."""


def too_large(limit: str, most: int, found: int, at: OperationDefinitionNode | None = None) -> GraphQLError:
    """The error about a document that is over the limit."""
    told = _TOLD[limit].format(most=most, found=found)
    return GraphQLError(told, at, original_error=DocumentTooLarge(told, limit=limit, most=most, found=found))


def excesses(document: DocumentNode, limits: Limits) -> Iterator[Excess]:
    """The limits that the parsed document is over; it need not be valid."""
    sizes = measured(document)
    if len(sizes) > limits.most_operations:
        yield Excess("most_operations", limits.most_operations, len(sizes), lifted=False, at=None)
        return
    lifted = "documents" in limits.warn_only
    for operation, size in sizes:
        for limit, most, found, may_be_lifted in (
            ("most_fields", limits.most_fields, size.fields, lifted),
            ("deepest", limits.deepest, size.deepest, lifted),
            ("most_aliases", limits.most_aliases, size.aliases, lifted),
            ("most_root_fields", limits.most_root_fields, size.root_fields, lifted),
            ("most_directives", limits.most_directives, size.directives, lifted),
            (SCHEMA, 1, size.schema, False),
            (TYPE, 1, size.type, False),
            ("nesting", DEEPEST_NESTING, size.nesting, False),
        ):
            if found > most:
                yield Excess(limit, most, found, may_be_lifted, operation)


def measured(document: DocumentNode) -> Sequence[tuple[OperationDefinitionNode, Size]]:
    """The operations of a document with their sizes."""
    parts = {
        definition.name.value: _part(definition)
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    sizes = _with_fragments(parts)
    return [
        (definition, _put_together(_part(definition), sizes))
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    ]


class _Spread(NamedTuple):
    """The use of a fragment, with the fields and the selection sets that it stands in."""

    name: str
    below: int
    nesting: int


class _Part(NamedTuple):
    """A definition: what stands in itself, and the fragments that it uses."""

    own: Size
    spreads: Sequence[_Spread]


def _part(definition: OperationDefinitionNode | FragmentDefinitionNode) -> _Part:
    fields = aliases = root_fields = schema = types = deepest = deepest_set = 0
    directives = len(definition.directives or ())
    for variable in definition.variable_definitions or ():
        directives += len(variable.directives or ())
    spreads = []
    waiting: list[tuple[SelectionSetNode, int, int]] = [(definition.selection_set, 0, 1)]
    while waiting:
        selected, below, nesting = waiting.pop()
        deepest_set = max(deepest_set, nesting)
        for selection in selected.selections:
            directives += len(selection.directives or ())
            match selection:
                case FieldNode():
                    name = selection.name.value
                    fields += 1
                    aliases += selection.alias is not None
                    root_fields += below == 0
                    schema += name == SCHEMA
                    types += name == TYPE
                    deepest = max(deepest, below + 1)
                    if selection.selection_set is not None:
                        waiting.append((selection.selection_set, below + 1, nesting + 1))
                case InlineFragmentNode():
                    waiting.append((selection.selection_set, below, nesting + 1))
                case FragmentSpreadNode():
                    spreads.append(_Spread(selection.name.value, below, nesting))
    own = Size(fields, deepest, aliases, root_fields, directives, schema, types, deepest_set)
    return _Part(own, spreads)


def _with_fragments(parts: Mapping[str, _Part]) -> Mapping[str, Size]:
    """The sizes of fragments with those that they use, these before those. A fragment within itself counts as nothing
    there, as one that does not exist: the rules of validation tell of both."""
    sizes: dict[str, Size] = {}
    begun: set[str] = set()
    waiting = [(name, False) for name in parts]
    while waiting:
        name, inner_are_known = waiting.pop()
        if inner_are_known:
            sizes[name] = _put_together(parts[name], sizes)
        elif name not in begun:
            begun.add(name)
            waiting.append((name, True))
            waiting += [(spread.name, False) for spread in parts[name].spreads if spread.name in parts]
    return sizes


def _put_together(part: _Part, sizes: Mapping[str, Size]) -> Size:
    fields, deepest, aliases, root_fields, directives, schema, types, nesting = part.own
    for spread in part.spreads:
        size = sizes.get(spread.name)
        if size is None:
            continue
        fields += size.fields
        aliases += size.aliases
        directives += size.directives
        schema += size.schema
        types += size.type
        if spread.below == 0:
            root_fields += size.root_fields
        if size.deepest:
            deepest = max(deepest, spread.below + size.deepest)
        nesting = max(nesting, spread.nesting + size.nesting)
    put_together = (fields, deepest, aliases, root_fields, directives, schema, types, nesting)
    return Size(*(min(number, BEYOND) for number in put_together))
