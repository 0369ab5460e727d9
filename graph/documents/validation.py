"""Whether a document is valid by GraphQL's rules, told within bounds whatever the document is."""

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OverlappingFieldsCanBeMergedRule,
    specified_rules,
    validate,
)

from graph.documents.limits import too_large
from graph.errors import SUGGESTION, changed
from graph.execution.literals import with_fields
from graph.execution.upstream import MORE_ERRORS
from graph.execution.upstream_documents import (
    MAX_FRAGMENT_WORK,
    MaybeNullValidationRule,
    TooManyComparisons,
    ValidationAbortedError,
    bounded_overlaps,
    few_suggestions,
)

COMPARISONS = 20_000
"""Steps that comparing the fields of one name in the answer may take: each pair takes two. So many take 30 ms; the documents
of clients take some hundreds at most."""
MOST_PROBLEMS = 10
"""Errors of a document that are told. Each may print a literal of the whole document, which takes up to 3 ms."""
SUGGESTED = 3
"""Errors that say what may have been meant. All names of the schema are compared for each, which takes up to 10 ms."""
LONGEST_MESSAGE = 400
"""Characters. The names and values of a document stand in messages, and may be as long as it is."""

_RULES = (
    few_suggestions(SUGGESTED),
    *(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule),
    bounded_overlaps(COMPARISONS),
    MaybeNullValidationRule,
)


def problems(schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
    """Why the document is not valid: the first errors, and one more that says that there are others."""
    found = validate(schema, document, _RULES, max_errors=MOST_PROBLEMS)
    if not found:
        return []
    others = []
    if isinstance(found[-1], TooManyComparisons):
        return [too_large("comparisons", COMPARISONS, COMPARISONS + 1)]
    if isinstance(found[-1], ValidationAbortedError):
        if len(found) <= MOST_PROBLEMS:
            return [too_large("fragment_uses", MAX_FRAGMENT_WORK, MAX_FRAGMENT_WORK + 1)]
        told = f"there are more than {MOST_PROBLEMS} errors: correct these first"
        others.append(GraphQLError(told, extensions={"code": MORE_ERRORS}))
        found.pop()
    return [*map(_shortened, with_fields(found, document)), *others]


def _shortened(error: GraphQLError) -> GraphQLError:
    message, half = error.message, LONGEST_MESSAGE // 2
    if len(message) <= LONGEST_MESSAGE:
        return error
    # Half a suggestion could not be told from other words, and left out for callers who are told none.
    message = SUGGESTION.sub("", message)
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[:half]} … {message[-half:]}"
    return changed(error, message, error.extensions)
