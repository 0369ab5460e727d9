"""Documents that were seen before are neither parsed nor validated again, and none costs more than it may."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson
from cachetools import LRUCache
from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
    parse,
    specified_rules,
)
from strawberry.extensions import ParserCache

from graph.costs import NOTHING, Cost, costs_of
from graph.introspection import Questions, TooMany
from graph.limits import Limits, limit_rule
from graph.literals import with_fields
from graph.upstream import core_schema, validate_document
from resolvers.nouns import Session, TooExpensive

KEPT_DOCUMENTS = 128
LONGEST_KEPT = 4_096
"""Characters of a document that is kept, and of the variables of an answer that is. Parsed, it takes 200 times as much."""
KEPT_ANSWERS = 8
"""About the schema: that of a tool takes a megabyte."""


class Known(NamedTuple):
    """What is known about a document: why it is refused, or what each of its operations asks for, by name."""

    document: DocumentNode
    errors: list[GraphQLError]
    costs: Mapping[str | None, Cost]
    questions: Mapping[str | None, Questions]


class Documents:
    """The known documents of one schema. The key is the identity of the parsed document, which the parser's cache
    gives out again: to compare two documents costs a tenth of validating one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.answers: LRUCache[tuple[str, str | None, bytes], dict[str, Any]] = LRUCache(KEPT_ANSWERS)
        """Answers to questions about the schema, which is the same as long as the process lives."""
        self._rules: tuple[type[ASTValidationRule], ...] = (*specified_rules, limit_rule(limits))
        self._known: LRUCache[int, Known] = LRUCache(KEPT_DOCUMENTS)
        """What is known, with the document itself, so that no other document gets the id of one that is gone."""

    def known(self, schema: GraphQLSchema, document: DocumentNode, text: str) -> Known:
        kept = self._known.get(id(document))
        if kept is None:
            kept = self._looked_at(schema, document)
            if len(text) <= LONGEST_KEPT:
                self._known[id(document)] = kept
        return kept

    def _looked_at(self, schema: GraphQLSchema, document: DocumentNode) -> Known:
        errors = with_fields(validate_document(schema, document, self._rules), document)
        if errors:
            return Known(document, errors, {}, {})
        questions = {
            operation.name.value if operation.name else None: Questions(document, operation)
            for operation in document.definitions
            if isinstance(operation, OperationDefinitionNode)
        }
        asking = {name: asked for name, asked in questions.items() if asked}
        return Known(document, errors, costs_of(schema, document), asking)


class KnownDocuments(ParserCache):
    """The extension of one request, as Strawberry wants it."""

    def __init__(self, documents: Documents) -> None:
        super().__init__(KEPT_DOCUMENTS)
        self._documents = documents
        self._answer: tuple[str, str | None, bytes] | None = None
        """The key that the answer of this request is kept under, where it is."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options["max_tokens"] = self._documents.limits.tokens
        if context.query is not None and len(context.query) > LONGEST_KEPT:
            context.graphql_document = parse(context.query, **context.parse_options)
            yield
        else:
            yield from super().on_parse()

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        document = context.graphql_document
        if document is not None:
            known = self._documents.known(core_schema(context.schema), document, context.query or "")
            context.pre_execution_errors = known.errors or self._too_much(known)
        yield

    def on_execute(self) -> Iterator[None]:
        """An answer about nothing but the schema is given again."""
        context, answers = self.execution_context, self._documents.answers
        kept = None if self._answer is None else answers.get(self._answer)
        if kept is not None:
            context.result = ExecutionResult(kept, None)
        yield
        result = context.result
        if self._answer is not None and kept is None and result is not None and not result.errors:
            answers[self._answer] = result.data  # type: ignore[assignment]

    def _too_much(self, known: Known) -> list[GraphQLError]:
        """Why the operation may not be executed with these variables; nothing where it may."""
        context = self.execution_context
        operation = get_operation_ast(known.document, context.operation_name)
        if operation is None:
            return []
        name = operation.name.value if operation.name else None
        session: Session = context.context
        try:
            session.bill.expect(
                known.costs.get(name, NOTHING).of(context.variables or {}),
                stops=operation.operation is OperationType.QUERY,
            )
        except TooExpensive as error:
            return [GraphQLError(error.message, operation, original_error=error)]
        questions = known.questions.get(name)
        return [] if questions is None else self._too_many(questions, operation)

    def _too_many(self, questions: Questions, operation: OperationDefinitionNode) -> list[GraphQLError]:
        context, most = self.execution_context, self._documents.limits.introspection
        text, variables = context.query or "", orjson.dumps(context.variables or {}, default=repr)
        if questions.alone and len(text) + len(variables) <= 2 * LONGEST_KEPT:
            self._answer = text, context.operation_name, variables
            if self._answer in self._documents.answers:
                return []
        try:
            questions.check(core_schema(context.schema), context.variables or {}, most)
        except TooMany:
            told = f"the answer would have more than {most:,} values of the schema: ask for less at a time"
            return [GraphQLError(told, operation, extensions={"most": most})]
        return []
