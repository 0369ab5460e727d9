"""The private API of graphql-core and Strawberry, as far as Cohort uses it: all of it is here, with the reason for each.

tests/graph/test_upstream.py fails where a release changes one of these; pyproject.toml holds both libraries to a minor
version.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    Source,
    SourceLocation,
    ValidationContext,
    ValidationRule,
    get_argument_values,
    is_non_null_type,
    parse,
)

# The types of what the executor's hooks are given: where a document asks for a field.
from graphql.execution.collect_fields import FieldDetails, FieldDetailsList

# The same: the place of a field in the answer.
from graphql.pyutils import Path

# What stops a validation, and the work on fragments that does so.
from graphql.validation.validate import ValidationAbortedError as ValidationAbortedError
from graphql.validation.validation_context import MAX_FRAGMENT_WORK as MAX_FRAGMENT_WORK

# Strawberry's own executor, which hands ``operation_extensions`` on: a schema's ``execution_context_class`` must be one.
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

# The key under which a type or a field of graphql-core has Strawberry's definition.
from strawberry.schema.schema_converter import GraphQLCoreConverter

# Strawberry's rule of validation beside graphql-core's: ``Maybe`` arguments take no null. Its other one, about ``@oneOf``, is
# among graphql-core's too, and fails on variables that are not defined.
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule as MaybeNullValidationRule

# The arguments of a resolver out of a field's values, with inputs and enums as classes.
from strawberry.types.arguments import convert_argument, convert_arguments
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from graph.encoding import SentAsIs
from graph.planned import Planned
from resolvers.nouns import Bill, KeptResponse, Session, Taken

MORE_ERRORS = "MORE_ERRORS"
"""The code of the last error of an answer that has more errors than are told."""
_DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF

Read = Callable[[Any], Any]
"""From an object to what a field of it answers, or from a value to what stands for it in the answer."""
LEAST = 10
"""Bytes that a field takes in an answer at least, or nearly. How large an answer is shows when it is written, which is too late
to end it."""
Selected = FieldDetailsList
"""Where a document asks for a field: once, or several times in several fragments."""


class NotPlain(Exception):
    """A value that is not plainly of its type, or a resolver that refused: only the executor can tell that at its path."""


class Executor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, of one request. It overrides what the library calls private, since its public API has no
    hook at a field's value: ``execute_field``, ``complete_value``, ``handle_field_error`` and ``build_response``."""

    most_errors = 100
    """Errors that an answer tells; of others it only tells how many there are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wrapped = self.middleware_manager is not None and bool(self.middleware_manager.middlewares)
        self._reads = self.operation.operation is OperationType.QUERY and not wrapped
        """What a mutation answers is met once: to compile it would be for nothing."""
        context = self.context_value
        self._bill = context.bill if isinstance(context, Session) else Bill()
        self._taken: list[Taken] = []
        """How the planned fields of this answer came about."""
        self._more_errors = 0

    def reader(self, parent: GraphQLObjectType, selected: Selected) -> Read | None:
        """The hook: answers a field without its executor; None where only that can."""
        raise NotImplementedError

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: Selected,
        path: Path,
        position_context: Any,
    ) -> Any:
        if self._reads and position_context is None:
            read = self.reader(parent_type, field_details_list)
            if read is not None:
                try:
                    return read(source)
                except (NotPlain, AttributeError):
                    pass
                except Exception as error:  # noqa: BLE001 - a fault of ours, as the executor takes it
                    field = parent_type.fields[field_details_list[0].node.name.value]
                    self.handle_field_error(error, field.type, field_details_list, path)
                    return None
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: Selected,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """What a planned field was written as stands for its value. Every value is on the request's bill."""
        self._bill.built(len(result.data) if result.__class__ is SentAsIs else LEAST)
        if isinstance(result, KeptResponse):
            self._tell(result.taken, path)
            return result.fragment
        if not isinstance(result, Planned):
            return super().complete_value(
                return_type, field_details_list, info, path, result, position_context
            )
        self._tell(result.taken, path)
        completed = super().complete_value(
            return_type, field_details_list, info, path, result.value, position_context
        )
        if result.keep is None or self.is_awaitable(completed) or self.collected_errors.errors:
            return completed
        return result.keep(completed).fragment

    def handle_field_error(
        self, raw_error: Exception, return_type: GraphQLOutputType, field_details_list: Selected, path: Path
    ) -> None:
        """An error beyond the most is counted and not made. One of a field that can't be null goes on to the field above."""
        goes_on = self.error_propagation and is_non_null_type(return_type)
        if goes_on or len(self.collected_errors.errors) < self.most_errors:
            super().handle_field_error(raw_error, return_type, field_details_list, path)
        elif not self.collected_errors.has_nulled_position(path):
            self._more_errors += 1

    def build_response(self, data: dict[str, Any] | None) -> Any:
        response = super().build_response(data)
        if self._more_errors and isinstance(response, ExecutionResult) and response.errors:
            told = f"{self._more_errors:,} more errors are not told: correct these first"
            more = {"code": MORE_ERRORS, "more": self._more_errors}
            response.errors = [*response.errors, GraphQLError(told, extensions=more)]
        if self._taken and isinstance(response, ExecutionResult):
            response.extensions = {"plans": [taken.told() for taken in self._taken]}
        return response

    def _tell(self, taken: Taken, path: Path) -> None:
        self._taken.append(replace(taken, path=tuple(path.as_list())))

    def arguments(self, field: GraphQLField, details: FieldDetails) -> dict[str, Any]:
        """What the resolver of the field is called with. GraphQLError where a value does not hold."""
        given = get_argument_values(
            field, details.node, self.variable_values, details.fragment_variable_values, self.hide_suggestions
        )
        schema: Any = (self.schema.extensions or {})[_DEFINITION]
        definition: StrawberryField = (field.extensions or {})[_DEFINITION]
        registry = schema.schema_converter.scalar_registry
        return convert_arguments(given, definition.arguments, registry, schema.config)

    def below(self, of: GraphQLObjectType, selected: Selected) -> Mapping[str, Selected] | None:
        """What a document asks for of an object, by the names in the answer; None where a part of it is deferred."""
        fields, deferred, _ = self.collect_subfields(of, selected)
        return None if deferred else fields


class TooManyTokens(Exception):
    """A document has more tokens than it may."""


class _Text(Source):
    """The text of a document, which finds the line of a position without reading all lines for each error."""

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _NEWLINE.finditer(self.body))]

    def get_location(self, position: int) -> SourceLocation:
        line = bisect_right(self._starts, position)
        return SourceLocation(line, position + 1 - self._starts[line - 1])


_NEWLINE = re.compile(r"\r\n|[\n\r]")


def parsed(text: str, most_tokens: int) -> DocumentNode:
    """The document. TooManyTokens ends parsing at the first token, or comment, too many; GraphQLSyntaxError names a place.

    The library has one class of errors for both, and tells them apart by their text alone.
    """
    try:
        return parse(_Text(text), max_lexical_tokens=most_tokens, max_comments=most_tokens)
    except GraphQLSyntaxError as error:
        if error.message.endswith("Parsing aborted."):
            raise TooManyTokens from None
        raise


def tokens_in(document: DocumentNode) -> int:
    """The tokens that the document was parsed from, comments too; the library keeps their number beside the tree."""
    found: int = document.token_count
    return found


def few_suggestions(most: int) -> type[ValidationRule]:
    """A rule that is never broken: it has the first errors alone say what may have been meant. It stands before the others.
    The library looks for suggestions for all errors, or for none."""

    class FewSuggestions(ValidationRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            report, left = context.report_error, most

            def reported(error: GraphQLError) -> None:
                nonlocal left
                left -= 1
                if left <= 0:
                    context._hide_suggestions = True
                report(error)

            context.report_error = reported  # type: ignore[method-assign]

    return FewSuggestions


class TooManyComparisons(ValidationAbortedError):
    """Comparing the fields of one name in the answer takes more steps than it may."""


def bounded_overlaps(most: int) -> type[OverlappingFieldsCanBeMergedRule]:
    """The rule that fields of one name can be merged, which takes at most so many steps. The library has one bound for all
    processes' documents, 40 times as high."""

    class BoundedOverlaps(OverlappingFieldsCanBeMergedRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self.rule_context.remaining_complexity_budget = most

        def enter_selection_set(self, *args: Any) -> None:
            try:
                super().enter_selection_set(*args)
            except ValidationAbortedError as error:
                raise TooManyComparisons(error.message) from None

    return BoundedOverlaps


def core_schema(schema: Any) -> GraphQLSchema:
    """The schema of graphql-core behind Strawberry's, for which Strawberry has no public name."""
    found: GraphQLSchema = schema._schema
    return found


def converted(schema: Any, value: Any, kind: type[Any]) -> Any:
    """An input of Strawberry's, made of a value that graphql-core has coerced."""
    return convert_argument(value, kind, schema.schema_converter.scalar_registry, schema.config)


def definition_of(field: GraphQLField) -> StrawberryField | None:
    """Strawberry's definition of the field; None for one that others made, or that an extension wraps."""
    definition = (field.extensions or {}).get(_DEFINITION)
    return definition if isinstance(definition, StrawberryField) and not definition.extensions else None


def attribute_of(definition: StrawberryField) -> str | None:
    """The attribute that answers the field; None where a resolver does."""
    if definition.base_resolver is not None or definition.default_resolver is not getattr:
        return None
    return definition.python_name


def plain_function_of(definition: StrawberryField) -> Callable[..., Any] | None:
    """The field's resolver, where it takes nothing but the object and the field's arguments, and awaits nothing."""
    resolver = definition.base_resolver
    if resolver is None or definition.is_async or not resolver.self_parameter:
        return None
    reserved = [spec for spec, parameter in resolver.reserved_parameters.items() if parameter]
    # The function itself: the resolver's call only checks that there is one.
    function: Any = resolver.wrapped_func
    return function if len(reserved) == 1 else None


def classes_of(of: GraphQLObjectType) -> frozenset[type] | None:
    """The classes whose instances are of this type; None where its own function decides that."""
    definition = (of.extensions or {}).get(_DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
        return None
    generic = definition.concrete_of
    return frozenset({definition.origin, generic.origin if generic else definition.origin})


def enum_class_of(of: GraphQLEnumType) -> type | None:
    """The Python enum behind it; None for one that Strawberry did not make."""
    found: type | None = getattr(of, "wrapped_cls", None)
    return found
