"""Documents that were seen before are neither parsed nor validated again."""

from collections.abc import Iterator

from cachetools import LRUCache
from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, specified_rules
from strawberry.extensions import ParserCache
from strawberry.schema.schema import validate_document

from graph.limits import Limits, limit_rule

KEPT_DOCUMENTS = 128


class Documents:
    """Of one schema. Keyed by the identity of the parsed document, of which the parser's cache gives out the same
    one again: to compare two of them costs a tenth of validating one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._rules: tuple[type[ASTValidationRule], ...] = (*specified_rules, limit_rule(limits))
        self._validated: LRUCache[int, tuple[DocumentNode, list[GraphQLError]]] = LRUCache(KEPT_DOCUMENTS)
        """With the documents, so that no other one gets the id of one that is gone."""

    def errors(self, schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
        kept = self._validated.get(id(document))
        if kept is None:
            kept = document, validate_document(schema, document, self._rules)
            self._validated[id(document)] = kept
        return kept[1]


class KnownDocuments(ParserCache):
    """Of one request, as Strawberry wants its extensions."""

    def __init__(self, documents: Documents) -> None:
        super().__init__(KEPT_DOCUMENTS)
        self._documents = documents

    def on_parse(self) -> Iterator[None]:
        self.execution_context.parse_options["max_tokens"] = self._documents.limits.tokens
        yield from super().on_parse()

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        if context.graphql_document is not None:
            context.pre_execution_errors = self._documents.errors(
                context.schema._schema, context.graphql_document
            )
        yield
