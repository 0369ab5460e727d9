"""Operations that are compiled once a document: from the variables straight to what resolvers are given, and from what they give to the
answer. graphql-core and Strawberry take three times as long for that as such a command itself, and longer than a page of a list.

Compiled are queries, and mutations of one field that says it may be (``mutation(..., compiled=True)``). Their fields are answered by
what graph/execution/projection.py compiles, or by a resolver each, outside of lists. Everything else goes the libraries' way, such as directives
and interfaces. So does a request whose variables are not plainly of their types, or in which a resolver has failed: since only the
libraries tell what is wrong. They go on with what resolvers have given so far (graph/execution/answered_fields.py).
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutine
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    get_named_type,
    is_list_type,
)
from strawberry.types import ExecutionResult

from graph.access import Access, access_of_root
from graph.execution.answered_fields import Place, Refused
from graph.execution.encoding import SentAsIs
from graph.execution.given_values import LEFT_OUT, Given, GivenVariables, NotCompiled, Variables
from graph.execution.kept_readers import Readers
from graph.execution.projection import ProjectingExecutor
from graph.execution.reads import Caller, NotPlain, Show
from graph.execution.upstream import LEAST, Path, Selected, classes_of, definition_of
from graph.execution.upstream_inputs import Resolver, info_of, resolver_of, selected, variables_told
from graph.fields import COMPILED
from resolvers.nouns import Session, breathe, over, stepwise

MOST_FIELDS = 300
"""Fields of an operation, those of fragments as often as they are used. To compile more would hold the loop for tens of milliseconds."""
OF_RESOLVED = 2
"""Fields that are read which take as much memory, beside itself, as one that a resolver answers: some 2.4 KB."""


class _NoRoom(Exception):
    """The operations of the document have as many compiled fields as they may."""


class _Declined(Exception):
    """Only the libraries can answer the request."""


@dataclass(slots=True)
class _Request:
    """``answered``: what resolvers have given so far, or refused with."""

    session: Session
    variables: dict[str, Any]
    caller: Caller = field(init=False)
    told: Any = field(init=False)
    """The variables as graphql-core tells them."""
    answered: dict[Place, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.caller = Caller(self.session, self.session.bill)
        self.told = variables_told(self.variables)


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A field that a resolver answers. ``show`` shows what it gives, ``below`` does so where that is an object whose fields have
    resolvers. ``access``: who may ask for it, of a field at the top of a query."""

    resolver: Resolver
    access: Access | None
    arguments: Mapping[str, Given]
    info: GraphQLResolveInfo[Any]
    place: Place
    may_be_null: bool
    show: Show | None
    below: "_Object | None"

    async def shown(self, source: Any, request: _Request) -> Any:
        value = await self._value(source, request)
        request.caller.bill.built(len(value.data) if value.__class__ is SentAsIs else LEAST)
        if value is None and self.may_be_null:
            return None
        if self.show is not None:
            try:
                return self.show(value, request.caller)
            except (NotPlain, AttributeError):
                pass
        if self.below is None:
            raise _Declined
        return await self.below.shown(value, request)

    async def _value(self, source: Any, request: _Request) -> Any:
        session, variables = request.session, request.variables
        try:
            given = {name: of(variables) for name, of in self.arguments.items()}
        except NotPlain:
            raise _Declined from None
        info = self.info._replace(context=session, variable_values=request.told)
        try:
            if self.access is not None:
                session.viewer.check_before(self.access)
            called = {name: value for name, value in given.items() if value is not LEFT_OUT}
            value = self.resolver(source, info, called)
            if iscoroutine(value):
                value = await stepwise(value)
        except Exception as error:  # noqa: BLE001 - told as the executor tells it
            request.answered[self.place] = Refused(error)
            raise _Declined from None
        request.answered[self.place] = value
        if over():
            await breathe()
        return value


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of one of the ``classes``, by the names in the answer: what is read of it, and what its resolvers give where it can't be
    read."""

    classes: Collection[type]
    fields: Sequence[tuple[str, Show | None, _Resolved | None]]

    async def shown(self, source: Any, request: _Request) -> dict[str, Any]:
        if source.__class__ not in self.classes:
            raise _Declined
        shown: dict[str, Any] = {}
        later: list[tuple[str, _Resolved]] = []
        for name, read, resolved in self.fields:
            shown[name] = None  # in the order of the document
            if read is not None:
                try:
                    shown[name] = read(source, request.caller)
                    continue
                except (NotPlain, AttributeError):
                    if resolved is None:
                        raise _Declined from None
            assert resolved is not None  # noqa: S101 - a field is read or resolved
            later.append((name, resolved))
        if len(later) == 1:
            name, resolved = later[0]
            shown[name] = await resolved.shown(source, request)
        elif later:
            # All end, also where one declines: the libraries go on with what the others have given.
            ways = await asyncio.gather(
                *(resolved.shown(source, request) for _, resolved in later), return_exceptions=True
            )
            failed = next((way for way in ways if isinstance(way, BaseException)), None)
            if failed is not None:
                try:
                    raise _Declined if isinstance(failed, Exception) else failed
                finally:
                    del failed, ways  # their traces have this frame: they would hold each other
            shown.update(zip([name for name, _ in later], ways, strict=True))
        return shown


@dataclass(frozen=True, slots=True)
class CompiledOperation:
    """An operation of a document that is known."""

    operation: OperationDefinitionNode
    variables: GivenVariables
    root: _Object

    @property
    def is_command(self) -> bool:
        """Whether it runs one command alone."""
        return self.operation.operation is OperationType.MUTATION

    def given(self, variables: Variables) -> dict[str, Any] | None:
        """What a request's variables say; None where only the libraries can tell that."""
        try:
            return self.variables.values(variables)
        except NotPlain:
            return None

    async def execute(self, session: Session, given: dict[str, Any]) -> ExecutionResult | Mapping[Place, Any]:
        """The result. What resolvers have given, where only the libraries can answer the request."""
        request, billed = _Request(session, given), session.bill.bytes
        try:
            data = await self.root.shown(None, request)
        except Exception:  # noqa: BLE001 - the executor meets it, too, and tells it
            session.bill.bytes = billed  # the executor builds all of the answer
            return request.answered
        return ExecutionResult(data, None, {})


def compiled(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    executor: ProjectingExecutor,
) -> CompiledOperation | None:
    """The operation of a valid document, compiled; None where it can't be. ``executor``: one of the document, of no request."""
    readers = executor.readers or Readers(document, MOST_FIELDS)
    try:
        variables = GivenVariables(schema, operation)
        compiler = _Compiler(schema, operation, executor, readers, variables)
        root = compiler.root()
    except (NotCompiled, _NoRoom):
        return None
    readers.left -= compiler.taken
    return CompiledOperation(operation, variables, root)


class _Compiler:
    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        executor: ProjectingExecutor,
        readers: Readers,
        variables: GivenVariables,
    ) -> None:
        self._schema, self._operation = schema, operation
        self._executor, self._readers, self._variables = executor, readers, variables
        self.taken = 0
        """Of the room that operations of the document have together: its memory was counted by its tokens."""

    def root(self) -> _Object:
        """The operation's fields. NotCompiled where one of them can't be."""
        of = self._schema.get_root_type(self._operation.operation)
        if (
            of is None
            or self._operation.operation is OperationType.SUBSCRIPTION
            or self._readers.within(self._operation).directives
            or self._readers.within(self._operation).fields > MOST_FIELDS
        ):
            raise NotCompiled
        fields = self._executor.below(of, selected(self._operation))
        if fields is None or (of is self._schema.mutation_type and not self._is_one_command(of, fields)):
            raise NotCompiled
        return self._object(of, fields, {type(None)}, None)

    def _is_one_command(self, of: GraphQLObjectType, fields: Mapping[str, Selected]) -> bool:
        if len(fields) != 1:
            return False
        (asked,) = fields.values()
        declared = of.fields.get(asked[0].node.name.value)
        definition = None if declared is None else definition_of(declared)
        return definition is not None and COMPILED in definition.metadata

    def _take(self, fields: int) -> None:
        self.taken += fields
        if self.taken > self._readers.left:
            raise _NoRoom

    def _object(
        self,
        of: GraphQLObjectType,
        fields: Mapping[str, Selected],
        classes: Collection[type],
        path: Path | None,
    ) -> _Object:
        return _Object(
            classes, [(name, *self._field(of, name, asked, path)) for name, asked in fields.items()]
        )

    def _field(
        self, parent: GraphQLObjectType, name: str, asked: Selected, path: Path | None
    ) -> tuple[Show | None, _Resolved | None]:
        self._take(1)
        node = asked[0].node
        varies = any(self._readers.within(one.node).variables for one in asked)
        read = None if varies else self._executor.reader(parent, asked)
        declared = parent.fields.get(node.name.value)
        resolver = None if declared is None else resolver_of(declared)
        if declared is None or resolver is None:
            if read is None:
                raise NotCompiled
            return read, None
        try:
            return read, self._resolved(parent, declared, resolver, asked, Path(path, name, parent.name))
        except NotCompiled:
            if read is None:
                raise
            return read, None

    def _resolved(
        self,
        parent: GraphQLObjectType,
        declared: GraphQLField,
        resolver: Resolver,
        asked: Selected,
        path: Path,
    ) -> _Resolved:
        self._take(OF_RESOLVED)
        node = asked[0].node
        given = {argument.name.value: argument for argument in node.arguments or ()}
        info = info_of(
            self._schema,
            node.name.value,
            field_nodes=[one.node for one in asked],
            return_type=declared.type,
            parent_type=parent,
            path=path,
            fragments=self._executor.fragment_definitions,
            operation=self._operation,
            is_awaitable=self._executor.is_awaitable,
        )
        show, below = self._value(declared.type, asked, path)
        return _Resolved(
            resolver,
            access_of_root(declared) if parent is self._schema.query_type else None,
            self._variables.arguments(given, declared.args, resolver.names),
            info,
            tuple(path.as_list()),
            not isinstance(declared.type, GraphQLNonNull),
            show,
            below,
        )

    def _value(
        self, of: GraphQLOutputType, asked: Selected, path: Path
    ) -> tuple[Show | None, _Object | None]:
        """What shows a value of this type. NotCompiled where nothing does."""
        varies = any(self._readers.within(part).variables for one in asked for part in _below(one.node))
        show = None if varies else self._executor.value_reader(of, asked)
        within = get_named_type(of)
        below = None
        if isinstance(within, GraphQLObjectType) and not is_list_type(_nullable(of)):
            classes, fields = classes_of(within), self._executor.below(within, asked)
            try:
                if classes is not None and fields is not None:
                    below = self._object(within, fields, classes, path)
            except NotCompiled:
                if show is None:
                    raise
        if show is None and below is None:
            raise NotCompiled
        has_resolvers = below is not None and any(resolved is not None for *_, resolved in below.fields)
        return show, below if has_resolvers or show is None else None


def _below(node: FieldNode) -> Sequence[SelectionNode]:
    return node.selection_set.selections if node.selection_set else ()


def _nullable(of: GraphQLOutputType) -> GraphQLOutputType:
    return of.of_type if isinstance(of, GraphQLNonNull) else of
