"""Documents: measured, validated and priced once, and known again by their text as long as there is room for them."""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from weakref import WeakValueDictionary

import orjson
from cachetools import LRUCache
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_operation_ast,
)
from strawberry.extensions import SchemaExtension

from graph.documents.costs import Cost, costs_of
from graph.documents.introspection import Questions, TooMany
from graph.documents.lifetimes import Holds, Lifetimes, reasons_of
from graph.documents.limits import Limits, excesses, too_large
from graph.documents.validation import problems
from graph.execution.answered_fields import has_begun
from graph.execution.compiled_operations import CompiledOperation, compiled
from graph.execution.kept_readers import Readers
from graph.execution.projection import ProjectingExecutor
from graph.execution.upstream import core_schema
from graph.execution.upstream_documents import TooManyTokens, parsed, tokens_in
from resolvers.nouns import CohortError, Forbidden, Session, Viewer
from resolvers.nouns import document_id as document_id

log = logging.getLogger(__name__)

TOKEN_BYTES = 1_500
"""What a parsed token takes, with what is known of it, measured: 380 to 750, and up to 820 where it is a field that is compiled."""
TEXT_COPIES = 3
"""How often a text is kept: as it came, and in the names and texts of its tokens."""
KNOWN_BYTES = 4_096
KEPT_ANSWERS = 8_388_608
"""Bytes of answers about the schema that are kept; that of a tool takes some 300,000."""


Asked = tuple[str, str | None, bytes]
"""What is asked of the schema: the document, its operation, and a digest of the variables."""


class Known:
    """What is known about a document, whoever asks with whatever variables.

    ``errors``: why it is refused. ``over``: the limits that it is over and that only warn. What is needed to execute it is
    worked out when it is executed first.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        text: str,
        errors: Sequence[GraphQLError],
        over: Sequence[str],
    ) -> None:
        self.id = document_id(text)
        self.document = document
        self.errors = errors
        self.over = over
        self.bytes = KNOWN_BYTES + TOKEN_BYTES * tokens_in(document) + TEXT_COPIES * sys.getsizeof(text)
        """An estimate that is rather too high."""
        self._schema = schema
        self._costs: dict[str | None, Cost] = {}
        self._questions: dict[str | None, Questions] = {}
        self._reasons: dict[str | None, frozenset[Holds | None]] = {}
        self._compiled: dict[str | None, CompiledOperation | None] = {}
        self._operations: dict[str | None, OperationDefinitionNode] = {}

    @cached_property
    def readers(self) -> Readers:
        """What is compiled of it, for all its requests."""
        return Readers(self.document, most=tokens_in(self.document))

    def seconds(self, operation_name: str | None, lifetimes: Lifetimes) -> int:
        """For how long the answer to the operation holds; 0 where there is no such operation."""
        operation = get_operation_ast(self.document, operation_name)
        return 0 if operation is None else lifetimes.least(self.reasons(operation))

    @property
    def text(self) -> str:
        """The document as it came. The parsed one has it, for the places of errors."""
        loc = self.document.loc
        assert loc is not None  # noqa: S101 - it is parsed with places
        return loc.source.body

    def cost(self, operation: OperationDefinitionNode) -> Cost:
        """What the operation costs, by the variables of a request."""
        name = _name(operation)
        if name not in self._costs:
            self._costs |= costs_of(self._schema, _alone(operation, self.document))
        return self._costs[name]

    def compiled(
        self, operation_name: str | None, executor: Callable[[DocumentNode], ProjectingExecutor]
    ) -> CompiledOperation | None:
        """The operation, compiled; None where it can't be, or asks for the schema. ``executor``: makes one of a document, of no
        request."""
        if operation_name not in self._compiled:
            operation = self.operation(operation_name)
            if operation is None:
                return None
            found = None
            if not self.errors and not self.asks_for_the_schema(operation):
                made = executor(self.document)
                made.readers = self.readers
                found = compiled(self._schema, self.document, operation, made)
            self._compiled[operation_name] = found
        return self._compiled[operation_name]

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation of this name, or the only one. Nothing is kept of names that the document does not have."""
        found = self._operations.get(name)
        if found is None:
            found = get_operation_ast(self.document, name)
            if found is not None:
                self._operations[name] = found
        return found

    def reasons(self, operation: OperationDefinitionNode) -> frozenset[Holds | None]:
        """Why the fields of the operation hold for a while (graph/documents/lifetimes.py)."""
        name = _name(operation)
        if name not in self._reasons:
            self._reasons[name] = reasons_of(self._schema, self.document, operation)
        return self._reasons[name]

    def asks_for_the_schema(self, operation: OperationDefinitionNode) -> bool:
        """Whether a part of the answer is the schema itself, which not every caller is told."""
        questions = self.questions(operation)
        return bool(questions) or questions.tell_schema

    def questions(self, operation: OperationDefinitionNode) -> Questions:
        """What the operation asks about the schema itself."""
        name = _name(operation)
        if name not in self._questions:
            self._questions[name] = Questions(self.document, operation)
        return self._questions[name]


class Documents:
    """The documents of one schema that are known, the latest of them, and those answers about the schema that are kept."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.let_through: Counter[str] = Counter()
        """Requests that were over a limit which only warns, by its name."""
        self.answers: LRUCache[Asked, Mapping[str, bytes]] = LRUCache(KEPT_ANSWERS, getsizeof=_bytes)
        """Answers about the schema, which is the same as long as the process lives: the JSON of each field at the top."""
        self._known: LRUCache[str, Known] = LRUCache(
            limits.document_cache, getsizeof=lambda known: known.bytes
        )
        self._by_document: WeakValueDictionary[int, Known] = WeakValueDictionary()
        """The same by the identity of the parsed document, which lives as long as what is known about it."""

    def known(self, schema: GraphQLSchema, text: str) -> Known:
        """What is known about the document. GraphQLError where it is too long or can't be parsed."""
        if len(text) > self.limits.longest_document:
            raise too_large("longest_document", self.limits.longest_document, len(text))
        known = self._known.get(document_id(text))
        if known is None:
            known = self._looked_at(schema, text)
            if known.bytes <= self._known.maxsize:
                self._known[known.id] = self._by_document[id(known.document)] = known
        return known

    def readers_of(self, document: DocumentNode) -> Readers | None:
        """What is compiled of a document that is kept."""
        known = self._by_document.get(id(document))
        return known.readers if known is not None and known.document is document else None

    def kept(self, text: str) -> Known | None:
        """What is known about the document, where it was asked for before."""
        return self._known.get(document_id(text))

    def text_of(self, identifier: str) -> str | None:
        """The text of a document that is known and may be executed; None where this process knows none of this id."""
        known = self._known.get(identifier)
        if known is None or known.errors:
            return None
        return known.text

    def tells(self, viewer: Viewer) -> bool:
        """Whether the schema tells the caller about itself."""
        match self.limits.introspection:
            case "open":
                return True
            case "authenticated":
                return viewer.user_id is not None
        return False

    @property
    def bytes(self) -> int:
        """What the known documents take, as far as it is estimated."""
        return int(self._known.currsize)

    def _looked_at(self, schema: GraphQLSchema, text: str) -> Known:
        limits = self.limits
        try:
            if len(text.splitlines()) > limits.most_tokens:
                raise TooManyTokens
            document = parsed(str(text), limits.most_tokens)  # kept without what a request's text has beside
        except TooManyTokens:
            raise too_large("most_tokens", limits.most_tokens, limits.most_tokens + 1) from None
        found = list(excesses(document, limits))
        errors = [excess.error for excess in found if not excess.lifted][: limits.most_errors]
        over = [excess.limit for excess in found if excess.lifted]
        if not errors:
            errors = problems(schema, document)
        known = Known(schema, document, text, errors, over)
        for excess in found if over and not errors else ():
            log.warning("document %s is let through: %s", known.id[:12], excess.error.message)
        return known


class KnownDocuments(SchemaExtension):
    """The extension of one request, as Strawberry wants it."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: Known | None = None
        self._answer: Asked | None = None
        """The key that the answer of this request is kept under, where it is."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        self._known = self._documents.known(core_schema(context.schema), context.query or "")
        if not has_begun():
            self._documents.let_through.update(self._known.over)
        context.graphql_document = self._known.document
        yield

    def on_validate(self) -> Iterator[None]:
        known = self._known
        if known is not None:
            # A new list: the document's own is kept.
            self.execution_context.pre_execution_errors = list(known.errors) or self._refusals(known)
        yield

    def on_execute(self) -> Iterator[None]:
        """An answer about nothing but the schema is given again."""
        context, answers = self.execution_context, self._documents.answers
        kept = None if self._answer is None else answers.get(self._answer)
        if kept is not None:
            context.result = ExecutionResult(
                {name: orjson.Fragment(value) for name, value in kept.items()}, None
            )
        yield
        result = context.result
        if self._answer is not None and kept is None and result is not None and not result.errors:
            answer = {name: orjson.dumps(value) for name, value in (result.data or {}).items()}
            if _bytes(answer) <= answers.maxsize:
                answers[self._answer] = answer

    def _refusals(self, known: Known) -> list[GraphQLError]:
        """Why the operation may not be executed with these variables; nothing where it may."""
        if has_begun():
            return []
        context = self.execution_context
        operation = get_operation_ast(known.document, context.operation_name)
        if operation is None:
            return []
        session: Session = context.context
        try:
            self._check_questions(known, operation, session.viewer)
            session.bill.expect(
                known.cost(operation).of(context.variables or {}),
                stops=operation.operation is OperationType.QUERY,
            )
        except CohortError as error:
            return [GraphQLError(error.message, operation, original_error=error)]
        return self._too_many(known, operation)

    def _check_questions(self, known: Known, operation: OperationDefinitionNode, viewer: Viewer) -> None:
        """Raises Unauthenticated or Forbidden where the operation asks for the schema, and the caller is not told."""
        if self._documents.tells(viewer) or not known.questions(operation).tell_schema:
            return
        if self._documents.limits.introspection == "authenticated":
            viewer.known()
        raise Forbidden("this gateway tells nobody its schema (introspection = off)")

    def _too_many(self, known: Known, operation: OperationDefinitionNode) -> list[GraphQLError]:
        questions = known.questions(operation)
        if not questions:
            return []
        context, most = self.execution_context, self._documents.limits.most_schema_values
        variables = context.variables or {}
        if questions.alone:
            digest = sha256(orjson.dumps(variables, default=repr)).digest()
            self._answer = known.id, context.operation_name, digest
            if self._answer in self._documents.answers:
                return []
        try:
            questions.check(core_schema(context.schema), variables, most)
        except TooMany:
            return [too_large("most_schema_values", most, most + 1, operation)]
        return []


def _alone(operation: OperationDefinitionNode, document: DocumentNode) -> DocumentNode:
    """The document without its other operations: a document may have many, and most requests execute the same one."""
    fragments = [part for part in document.definitions if not isinstance(part, OperationDefinitionNode)]
    return DocumentNode(definitions=(operation, *fragments))


def _name(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None


def _bytes(answer: Mapping[str, bytes]) -> int:
    return sum(map(len, answer.values()))
