"""The private API of graphql-core, as far as Cohort uses it to parse and validate documents, with the reason for each
(graph/execution/upstream.py has the rest)."""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    OverlappingFieldsCanBeMergedRule,
    Source,
    SourceLocation,
    ValidationContext,
    ValidationRule,
    parse,
)

# What stops a validation, and the work on fragments that does so.
from graphql.validation.validate import ValidationAbortedError as ValidationAbortedError
from graphql.validation.validation_context import MAX_FRAGMENT_WORK as MAX_FRAGMENT_WORK

# Strawberry's rule of validation beside graphql-core's: ``Maybe`` arguments take no null. Its other one, about ``@oneOf``, is
# among graphql-core's too, and fails on variables that are not defined.
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule as MaybeNullValidationRule


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


def asked_in(info: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Where the document asks for the field of a resolver's ``info``, and the document's fragments. Strawberry makes objects of
    all that is below, with the values of all arguments."""
    raw = info._raw_info
    return raw.field_nodes, raw.fragments


def selections_of(node: Any) -> Sequence[Any]:
    """What a document asks for right below a field or in a fragment."""
    within = node.selection_set
    return within.selections if within else ()
