"""How deep and how wide a document may be. Rule classes are made once, so that the validation cache hits beside them."""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

from graph.introspection import SCHEMA, TYPE


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one document. Trees may have 32 levels, but nobody shows that many."""

    depth: int = 20
    aliases: int = 50
    tokens: int = 2_000
    introspection: int = 20_000
    """Values of an answer about the schema; all that tools ask for has some 7,000."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a document as it will be executed, with fragments in place. ``schema`` and ``type``: how often it
    asks for these."""

    depth: int = 0
    aliases: int = 0
    schema: int = 0
    type: int = 0


class _Measure:
    """Measures each fragment once, so that fragments within fragments cost no more than they are long."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._sizes: dict[str, Size] = {}
        self._nothing = Size()

    def of(self, selected: SelectionSetNode | None) -> Size:
        if selected is None:
            return self._nothing
        sizes = list(self._sizes_in(selected))
        return Size(
            max((size.depth for size in sizes), default=0),
            sum(size.aliases for size in sizes),
            sum(size.schema for size in sizes),
            sum(size.type for size in sizes),
        )

    def _sizes_in(self, selected: SelectionSetNode) -> Iterator[Size]:
        for selection in selected.selections:
            if isinstance(selection, FragmentSpreadNode):
                yield self._fragment(selection.name.value)
            elif isinstance(selection, FieldNode):
                below, name = self.of(selection.selection_set), selection.name.value
                yield Size(
                    1 + below.depth,
                    below.aliases + (selection.alias is not None),
                    below.schema + (name == SCHEMA),
                    below.type + (name == TYPE),
                )
            else:
                yield self.of(getattr(selection, "selection_set", None))

    def _fragment(self, name: str) -> Size:
        if name not in self._sizes:
            # A fragment within itself, or one that is not there: other rules say so.
            self._sizes[name] = self._nothing
            if name in self._fragments:
                self._sizes[name] = self.of(self._fragments[name].selection_set)
        return self._sizes[name]


def limit_rule(limits: Limits) -> type[ValidationRule]:
    """A rule class; make it once."""

    class DocumentLimits(ValidationRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            measure = _Measure(context.document)
            for operation in context.document.definitions:
                if isinstance(operation, OperationDefinitionNode):
                    size = measure.of(operation.selection_set)
                    if size.depth > limits.depth:
                        self.report_error(
                            GraphQLError(
                                f"the operation is {size.depth} fields deep; at most {limits.depth} are allowed",
                                operation,
                            )
                        )
                    for name, times in ((SCHEMA, size.schema), (TYPE, size.type)):
                        if times > 1:
                            self.report_error(
                                GraphQLError(
                                    f"the operation asks for {name} {times} times; once is allowed", operation
                                )
                            )
                    if size.aliases > limits.aliases:
                        self.report_error(
                            GraphQLError(
                                f"the operation has {size.aliases} aliases; at most {limits.aliases} are allowed",
                                operation,
                            )
                        )

    return DocumentLimits
