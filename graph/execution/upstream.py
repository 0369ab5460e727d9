"""The private API of graphql-core and Strawberry, as far as Cohort uses it: all of it is here, with the reason for each.

tests/graph/execution/test_upstream.py fails where a release changes one of these; pyproject.toml holds both libraries to a minor
version.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from inspect import iscoroutine
from typing import Any, TypeVar
from weakref import ref

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLResolveInfoHelpers,
    GraphQLSchema,
    OperationType,
    get_argument_values,
    is_non_null_type,
)

# The types of what the executor's hooks are given: where a document asks for a field.
from graphql.execution.collect_fields import FieldDetails, FieldDetailsList

# The same: the place of a field in the answer.
from graphql.pyutils import Path as Path

# Strawberry's own executor, which hands ``operation_extensions`` on: a schema's ``execution_context_class`` must be one.
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

# The key under which a type or a field of graphql-core has Strawberry's definition.
from strawberry.schema.schema_converter import GraphQLCoreConverter

# The arguments of a resolver out of a field's values, with inputs and enums as classes.
from strawberry.types.arguments import convert_argument, convert_arguments
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from graph.execution.encoding import SentAsIs
from graph.execution.planned import Planned
from graph.execution.reads import Caller, NotPlain, Show
from graph.execution.variables import too_many
from resolvers.nouns import Bill, KeptResponse, Session, Taken, breathe, deadline_at, over, stepwise

MORE_ERRORS = "MORE_ERRORS"
"""The code of the last error of an answer that has more errors than are told."""
DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF

T = TypeVar("T")

OVER = 0.0
"""A deadline that has passed."""
LEAST = 10
"""Bytes that a field takes in an answer at least, or nearly. How large an answer is shows when it is written, which is too late
to end it."""
Selected = FieldDetailsList
"""Where a document asks for a field: once, or several times in several fragments."""


class Executor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor, of one request. It overrides what the library calls private, since its public API has no
        hook before variables, at a field's value or a list's members: ``build``, ``execute_field``, ``complete_value``, ``complete_iterable_value``,
    ``with_abort_signal`` and ``build_response``, ``handle_field_error``; and it calls ``complete_list_item_value``,
    ``complete_awaitable_list_item_value``, ``gather_async_work`` and ``settle_in_background``."""

    most_errors = 100
    """Errors that an answer tells; of others it only tells how many there are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wrapped = self.middleware_manager is not None and bool(self.middleware_manager.middlewares)
        self._reads = self.operation.operation is OperationType.QUERY and not wrapped
        """What a mutation answers is met once: to compile it would be for nothing."""
        context = self.context_value
        self._bill = context.bill if isinstance(context, Session) else Bill()
        self.caller = Caller(context, self._bill)
        self._taken: list[Taken] = []
        """How the planned fields of this answer came about."""
        self._more_errors = 0
        self._awaited = 0
        """How often a resolver was waited for."""
        # The library's own helpers hold the executor that holds them: all that a request has read would stay until the
        # garbage collector finds it.
        executor = ref(self)
        self.async_helpers = GraphQLResolveInfoHelpers(
            gather=lambda values: _alive(executor).gather_async_work(values),
            track=lambda values: _alive(executor).track_async_work(values),
        )

    @classmethod
    def build(
        cls,
        schema: GraphQLSchema,
        document: DocumentNode,
        root_value: Any = None,
        context_value: Any = None,
        raw_variable_values: dict[str, Any] | None = None,
        *args: Any,
        **more: Any,
    ) -> Any:
        """The hook before variables are coerced. The executor, or why there is none."""
        refused = too_many(schema, document, raw_variable_values or {})
        if refused is not None:
            return [refused]
        return super().build(schema, document, root_value, context_value, raw_variable_values, *args, **more)

    def reader(self, parent: GraphQLObjectType, selected: Selected) -> Show | None:
        """The hook: answers a field without its executor; None where only that can."""
        raise NotImplementedError

    def member_reader(self, of: GraphQLOutputType, selected: Selected) -> Show | None:
        """The hook: answers a member of a list without its executor; None where only that can."""
        raise NotImplementedError

    def list_reader(self, of: GraphQLOutputType, selected: Selected, count: int) -> Show | None:
        """The same, as long as the turn of the loop is not over; None where so few members are not worth it."""
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
                    return read(source, self.caller)
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
        if result.keep is None:
            return completed
        if self.is_awaitable(completed):
            return self._kept_later(completed, result.keep)
        return completed if self.collected_errors.errors else result.keep(completed).fragment

    async def _kept_later(self, completed: Awaitable[Any], keep: Callable[[Any], KeptResponse]) -> Any:
        """What was completed in turns is kept, too; not what some resolver awaited for."""
        before = self._awaited
        value = await completed
        if self._awaited > before or self.collected_errors.errors:
            return value
        return keep(value).fragment

    async def with_abort_signal(self, awaitable: Awaitable[T]) -> T:
        """The hook at all that is awaited for a field. A resolver begins and goes on, and its value is completed, only in
        turns of the loop that are not over."""
        self._awaited += 1
        value = await (stepwise(awaitable) if iscoroutine(awaitable) else awaitable)
        if over():
            await breathe()
        return value

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: Selected,
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Any,
    ) -> Any:
        """As the library does, until the turn of the loop is over: the rest is then awaited, in later turns."""
        if position_context is not None or not isinstance(items, list | tuple):
            return super().complete_iterable_value(
                item_type, field_details_list, info, path, items, position_context
            )
        members = _Members(self, item_type, field_details_list, info, path, items)
        members.read = self.list_reader(item_type, field_details_list, len(items))
        if not members.go_on():
            return self._in_turns(members)
        return self._gathered(members) if members.later else members.completed

    async def _in_turns(self, members: "_Members") -> list[Any]:
        """DeadlineExceeded once the request's time is over."""
        if self._reads and members.read is None:
            members.read = self.member_reader(members.of, members.selected)
        done = False
        while not done:
            try:
                await breathe()
            except BaseException:
                members.leave()
                raise
            done = members.go_on()
        return await self._gathered(members)

    async def _gathered(self, members: "_Members") -> list[Any]:
        completed, later = members.completed, members.later
        if len(later) == 1:
            completed[later[0]] = await completed[later[0]]
        elif later:
            found = await self.gather_async_work([completed[index] for index in later])
            for index, value in zip(later, found, strict=True):
                completed[index] = value
        return completed

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
        schema: Any = (self.schema.extensions or {})[DEFINITION]
        definition: StrawberryField = (field.extensions or {})[DEFINITION]
        registry = schema.schema_converter.scalar_registry
        return convert_arguments(given, definition.arguments, registry, schema.config)

    def below(self, of: GraphQLObjectType, selected: Selected) -> Mapping[str, Selected] | None:
        """What a document asks for of an object, by the names in the answer; None where a part of it is deferred."""
        fields, deferred, _ = self.collect_subfields(of, selected)
        return None if deferred else fields


def _alive(executor: "ref[Executor]") -> "Executor":
    found = executor()
    assert found is not None  # noqa: S101 - resolvers, who have the helpers, are called by it
    return found


class _Members:
    """A list that is being completed: the values so far, and which of them must be awaited."""

    __slots__ = ("_executor", "_info", "_members", "_path", "completed", "later", "of", "read", "selected")

    def __init__(
        self,
        executor: Executor,
        of: GraphQLOutputType,
        selected: Selected,
        info: GraphQLResolveInfo[Any],
        path: Path,
        members: Iterable[Any],
    ) -> None:
        self.of, self.selected = of, selected
        self.completed: list[Any] = []
        self.later: list[int] = []
        self.read: Show | None = None
        """Answers most members, where all that is asked of them can be compiled."""
        self._executor, self._info, self._path = executor, info, path
        self._members = iter(members)

    def go_on(self) -> bool:
        """Completes further members. False where the turn of the loop is over and some are left."""
        try:
            for member in self._members:
                if self.read is None or not self._has_read(member):
                    self._complete(member)
                if over():
                    return False
        except Exception:
            self.leave()
            raise
        return True

    def leave(self) -> None:
        """Ends the work on what was to be awaited, since nobody will. It ends where it would ask a store."""
        with deadline_at(OVER):
            self._executor.settle_in_background([self.completed[index] for index in self.later])

    def _has_read(self, member: Any) -> bool:
        assert self.read is not None  # noqa: S101 - go_on asks before
        try:
            self.completed.append(self.read(member, self._executor.caller))
        except (NotPlain, AttributeError):
            return False
        return True

    def _complete(self, member: Any) -> None:
        executor, index = self._executor, len(self.completed)
        asked = (self.of, self.selected, self._info, self._path.add_key(index, None))
        if executor.is_awaitable(member):
            self.completed.append(executor.complete_awaitable_list_item_value(member, *asked, None))
            self.later.append(index)
        elif executor.complete_list_item_value(member, self.completed, *asked, None):
            self.later.append(index)


def core_schema(schema: Any) -> GraphQLSchema:
    """The schema of graphql-core behind Strawberry's, for which Strawberry has no public name."""
    found: GraphQLSchema = schema._schema
    return found


def mark_one_of(schema: GraphQLSchema) -> None:
    """Has graphql-core's rules check inputs of which exactly one field is given, with the place of what is wrong. Strawberry
    keeps that to itself and its own rule, which fails on variables that are not defined."""
    for of in schema.type_map.values():
        if isinstance(of, GraphQLInputObjectType):
            definition: StrawberryObjectDefinition = (of.extensions or {})[DEFINITION]
            of.is_one_of = definition.is_one_of


def converted(schema: Any, value: Any, kind: type[Any]) -> Any:
    """An input of Strawberry's, made of a value that graphql-core has coerced."""
    return convert_argument(value, kind, schema.schema_converter.scalar_registry, schema.config)


def definition_of(field: GraphQLField) -> StrawberryField | None:
    """Strawberry's definition of the field; None for one that others made, or that an extension wraps."""
    definition = (field.extensions or {}).get(DEFINITION)
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
    definition = (of.extensions or {}).get(DEFINITION)
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
        return None
    generic = definition.concrete_of
    return frozenset({definition.origin, generic.origin if generic else definition.origin})


def enum_class_of(of: GraphQLEnumType) -> type | None:
    """The Python enum behind it; None for one that Strawberry did not make."""
    found: type | None = getattr(of, "wrapped_cls", None)
    return found
