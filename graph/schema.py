"""The schema: the nouns put together, limits and caches, and the printed form that is committed."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import isawaitable
from pathlib import Path
from typing import Annotated, Any

import strawberry
from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, execute
from graphql import OperationType as CoreOperationType
from strawberry.execution import optimized_is_awaitable
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from graph.access import Access, check_before_fields
from graph.active_learners import ActiveLearnersQueries
from graph.activity_histories import ActivityHistoryQueries
from graph.assessment_scores import AssessmentScores
from graph.assessments import AssessmentMutations
from graph.attempts import Attempt
from graph.collection_search import CollectionSearchQueries
from graph.collections import Collection, CollectionQueries
from graph.contents import ContentQueries
from graph.contexts import ContextMutations, ContextQueries
from graph.documents.known_documents import Documents, Known, KnownDocuments
from graph.documents.limits import Limits
from graph.drafts import DraftMutations
from graph.enrolments import Enrolment, EnrolmentMutations
from graph.entities import ENTITIES
from graph.erasures import ErasureMutations
from graph.errors import presented
from graph.execution.answered_fields import Place, answer_once, answered, forget_refusals
from graph.execution.kept_readers import Readers
from graph.execution.planned import Planned, PlansTold
from graph.execution.projection import ProjectingExecutor
from graph.execution.upstream import core_schema, mark_one_of
from graph.exhausts import Exhaust, ExhaustMutations, ExhaustQueries
from graph.fields import field
from graph.funnels import FunnelQueries
from graph.group_activities import GroupActivity, group_activity
from graph.info import Info
from graph.learner_groups import GroupMutations, GroupQueries
from graph.learner_search import LearnerSearchQueries
from graph.learners import LearnerMutations, LearnerQueries
from graph.metrics import MetricQueries
from graph.node import Node
from graph.publications import Publication, PublicationMutations, PublicationQueries
from graph.scalars import CONFIG
from graph.summaries import SummaryMutations
from graph.tracking import TrackingQueries
from graph.views import View, ViewMutations
from graph.watching import OperationNoted, execution_of
from resolvers import (
    assessment_scores,
    assessments,
    collections,
    enrolments,
    exhausts,
    learner_groups,
    nouns,
    publications,
    views,
)
from resolvers.errors import forget_traces
from resolvers.opaque_texts import decode
from telemetry.metrics import WAYS

_MODES = frozenset(mode.value for mode in nouns.AggregationMode)
PRINTED = Path(__file__).with_name("schema.graphql")
RELEASED = Path(__file__).with_name("released.graphql")
"""The schema of the last release: clients may rely on it."""


@strawberry.type(description="What can be asked. Everything needs a bearer token.")
class Query(
    CollectionQueries,
    ContentQueries,
    CollectionSearchQueries,
    LearnerSearchQueries,
    LearnerQueries,
    ContextQueries,
    GroupQueries,
    MetricQueries,
    FunnelQueries,
    ActiveLearnersQueries,
    ActivityHistoryQueries,
    TrackingQueries,
    PublicationQueries,
    ExhaustQueries,
):
    @field(
        description="Whatever has this global id, as far as the viewer may see it.",
        graphql_type=Node | None,
        access=Access.SIGNED_IN,
    )
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The global id.")],  # noqa: A002
    ) -> Node | Planned[GroupActivity]:
        return await find_node(info, id)


@strawberry.type(
    description="What can be changed. A call that is refused says why in `errors` of its payload; "
    "one that got no answer may be sent again."
)
class Mutation(
    EnrolmentMutations,
    ViewMutations,
    AssessmentMutations,
    ContextMutations,
    LearnerMutations,
    GroupMutations,
    SummaryMutations,
    ErasureMutations,
    PublicationMutations,
    ExhaustMutations,
    DraftMutations,
):
    pass


async def find_node(info: Info, global_id: str) -> Node | Planned[GroupActivity]:
    """The node with this id. It calls the same functions as the fields, so access is the same."""
    session = info.context
    type_name, *parts = decode(global_id, "id")
    match type_name, parts:
        case Collection.__name__, [identifier]:
            return Collection.of(await collections.collection(session, identifier, "id"))
        case _, [key] if type_name in ENTITIES:
            found: Node = await ENTITIES[type_name].find(session, key)
            return found
        case GroupActivity.__name__, [group_id, activity_id, activity_type, mode] if mode in _MODES:
            held_by = await learner_groups.group(session, group_id)
            return await group_activity(
                info, held_by, activity_id, activity_type, nouns.AggregationMode(mode)
            )
        case Exhaust.__name__, [exhaust_id]:
            return Exhaust.of(await exhausts.exhaust(session, exhaust_id))
        case Publication.__name__, [publication_id]:
            return Publication.of(await publications.publication(session, publication_id))
        case Enrolment.__name__, [user_id, collection_id, context_id]:
            enrolled = await enrolments.enrolment(session, user_id, collection_id, context_id)
            return Enrolment.of(enrolled, session.now())
        case View.__name__, [user_id, collection_id, context_id, content_id]:
            within = None if collection_id == content_id else collection_id
            under = None if context_id == collection_id else context_id
            return View.of(await views.view(session, user_id, content_id, within, under))
        case AssessmentScores.__name__, [user_id, collection_id, context_id, content_id]:
            asked = nouns.ViewKey(user_id, collection_id, context_id, content_id)
            return AssessmentScores.of(await assessment_scores.scores(session, asked))
        case Attempt.__name__, [user_id, collection_id, context_id, content_id, attempt_id]:
            asked = nouns.ViewKey(user_id, collection_id, context_id, content_id)
            return Attempt.of(asked, await assessments.attempt(session, asked, attempt_id))
    raise nouns.InvalidInput("id must be one that this API gave out", field="id")


_COMPILED, _VARIABLES, _REFUSED, _UNBOUND = "compiled", "variables", "refused", "unbound"
_WAYS = {
    (kind, way): WAYS.labels(kind.value, way)
    for kind in (CoreOperationType.QUERY, CoreOperationType.MUTATION)
    for way in (_COMPILED, _VARIABLES, _REFUSED, _UNBOUND)
}


ANY_OPERATION = frozenset(OperationType)
"""Where a caller names none."""


class CohortSchema(strawberry.Schema):
    """No error leaves it but as a client may see it. ``documents``: those that it knows. ``executor``: what executes others than
    compiled ones."""

    documents: Documents
    executor: type[ProjectingExecutor]

    async def execute(self, *args: Any, **kwargs: Any) -> ExecutionResult:
        session: nouns.Session = kwargs["context_value"]
        bill = session.bill
        with nouns.billed_to(bill):
            result, begun = await self._compiled(session, *args, **kwargs) or (None, None)
            if result is None:
                result = await self._plain(session, *args, **kwargs)
            if result is None:
                result = await super().execute(*args, **kwargs)
        if bill.over is not None and bill.budget.enforced:
            for error in result.errors or ():
                forget_traces(error)
            # What there is of the answer is not sent: it may be as large as the answer would be.
            result = ExecutionResult(None, [GraphQLError(bill.over.message, original_error=bill.over)])
        if result.errors:
            # A new list: the document's own is kept.
            told = core_schema(self) if self.documents.tells(session.viewer) else None
            raised, result.errors = result.errors, [presented(error, told) for error in result.errors]
            for error in raised:
                forget_traces(error)
        if begun is not None:
            forget_refusals(begun)
        return result

    async def _compiled(
        self,
        session: nouns.Session,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        **asked: Any,
    ) -> tuple[ExecutionResult, Mapping[Place, Any] | None] | None:
        """The result of an operation that is compiled, with what its resolvers had given where the libraries went on with that. None
        for others: the libraries are the first to look at a document."""
        name, allowed = asked.get("operation_name"), asked.get("allowed_operation_types")
        known = None if query is None else self.documents.kept(query)
        operation = None if known is None else known.operation(name)
        if known is None or operation is None or operation.operation is CoreOperationType.SUBSCRIPTION:
            return None
        kind = operation.operation
        if allowed is not None and OperationType(kind.value) not in allowed:
            return None
        compiled, variables = known.compiled(name, self._executor), variable_values or {}
        given = None if compiled is None else compiled.given(variables)
        if compiled is None or given is None:
            _WAYS[kind, _UNBOUND if compiled is None else _VARIABLES].inc()
            return None
        if (refused := self._priced(session, known, operation, variables)) is not None:
            return refused, None
        with execution_of(operation):
            result = await compiled.execute(session, given)
            if isinstance(result, ExecutionResult):
                _WAYS[kind, _COMPILED].inc()
                return result, None
            _WAYS[kind, _REFUSED].inc()
            with answered(result):
                return await super().execute(query, variable_values, **asked), result

    async def _plain(
        self,
        session: nouns.Session,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        **asked: Any,
    ) -> ExecutionResult | None:
        """The result of an operation that needs none of the extensions: of a valid document, and without a question about the
        schema. None for others. Strawberry's way around the executor takes longer than the executor, for what is small."""
        if not query:
            return None
        try:
            known = self.known(query)
            operation = known.operation(asked.get("operation_name"))
            allowed = asked.get("allowed_operation_types") or ANY_OPERATION
            if operation is None or known.errors or OperationType(operation.operation.value) not in allowed:
                return None
            if known.asks_for_the_schema(operation):
                return None
            if (refused := self._priced(session, known, operation, variable_values or {})) is not None:
                return refused
            with execution_of(operation):
                executing = execute(
                    core_schema(self),
                    known.document,
                    context_value=session,
                    variable_values=variable_values,
                    operation_name=asked.get("operation_name"),
                    executor_class=self.executor,
                    is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # it says so of a plain bool
                    operation_extensions=asked.get("operation_extensions"),
                )
                result = await executing if isawaitable(executing) else executing
        except Exception as error:  # noqa: BLE001 - told as the libraries tell it
            told = (
                error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            )
            return PreExecutionError(None, [told], {})
        return ExecutionResult(result.data, result.errors, result.extensions or {})

    def _priced(
        self,
        session: nouns.Session,
        known: Known,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> PreExecutionError | None:
        """Notes the limits that only warn, and expects the price. The refusal, where the caller may not spend that."""
        self.documents.let_through.update(known.over)
        is_query = operation.operation is CoreOperationType.QUERY
        try:
            session.bill.expect(known.cost(operation).of(variables), stops=is_query)
        except nouns.CohortError as error:
            refused = GraphQLError(error.message, operation, original_error=error)
            return PreExecutionError(None, [refused], {})
        return None

    def is_command(self, text: str, operation_name: str | None) -> bool:
        """Whether it is known that the operation runs one command alone, which is finished even if its caller leaves."""
        known = self.documents.kept(text)
        compiled = None if known is None else known.compiled(operation_name, self._executor)
        return compiled is not None and compiled.is_command

    def _executor(self, document: DocumentNode) -> ProjectingExecutor:
        """One that compiles what a document selects, for any request."""
        return self.executor.of_document(core_schema(self), document)

    def known(self, text: str) -> Known:
        """What is known about the document. GraphQLError where it is too long or can't be parsed."""
        return self.documents.known(core_schema(self), text)

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """``presented`` logs what nobody expected; what a caller did wrong is no news."""


def build_schema(
    limits: Limits = Limits(),  # noqa: B008 - it never changes
    query: type = Query,
) -> CohortSchema:
    """A schema with these limits, which knows its documents again."""
    documents = Documents(limits)
    extensions: Sequence[Callable[[], SchemaExtension]] = (
        lambda: KnownDocuments(documents),
        OperationNoted,
        PlansTold,
    )

    class Executor(ProjectingExecutor):
        most_errors = limits.most_errors

        @classmethod
        def readers_of(cls, document: DocumentNode) -> Readers | None:
            return documents.readers_of(document)

    built = CohortSchema(
        query=query,
        mutation=Mutation,
        config=CONFIG,
        extensions=extensions,
        execution_context_class=Executor,
    )
    built.documents, built.executor = documents, Executor
    check_before_fields(core_schema(built))
    answer_once(core_schema(built))
    mark_one_of(core_schema(built))
    return built


@cache
def schema_of(limits: Limits) -> CohortSchema:
    """The schema with these limits of which there is one in a process."""
    return build_schema(limits)


schema = schema_of(Limits())


def printed_schema() -> str:
    """The schema as ``cohort schema`` prints it and graph/schema.graphql has it."""
    return f"{schema.as_str().strip()}\n"


def write_schema(path: Path = PRINTED) -> None:
    path.write_text(printed_schema())


__all__ = [
    "PRINTED",
    "RELEASED",
    "CohortSchema",
    "Limits",
    "Mutation",
    "Query",
    "build_schema",
    "printed_schema",
    "schema",
    "schema_of",
    "write_schema",
]
