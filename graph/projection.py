"""An executor that answers plain attributes by compiled functions, about 20 times as fast as field by field.

Compiled is what needs nothing but the object at hand: attributes, resolvers that are no coroutines and take no
``info``, and fields that say how they are answered ``at_hand``, with all that is below them. The rest goes field by
field, as ever. So does every value that is not plainly of its type: the executor meets it again and reports it.
Resolvers of this kind may be called twice, and must not mind.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLString,
    OperationType,
    Undefined,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FieldDetailsList
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from graph.fields import AT_HAND
from graph.written import ToWrite, Written

Read = Callable[[Any], Any]
"""From an object to what a field of it answers, or from a value to what stands for it in the answer."""
_DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF


class _Unlike(Exception):
    """The value is not plainly of its type."""


class _Compiled(NamedTuple):
    """A field: what its resolver gives, and what stands for that in the answer; a value of class ``plain`` does so
    itself."""

    get: Read
    shown: Read
    plain: type | None

    def read(self, source: Any) -> Any:
        value = self.get(source)
        return value if value.__class__ is self.plain else self.shown(value)


class ProjectingExecutor(StrawberryGraphQLCoreExecutionContext):
    """Of one request: arguments and directives are resolved with its variables when a field is first met."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fields: dict[int, tuple[FieldDetailsList, _Compiled | None]] = {}
        """By identity of the selections, which are kept so that no others get the same."""
        wrapped = self.middleware_manager is not None and bool(self.middleware_manager.middlewares)
        # What a mutation answers is met once, and compiled for nothing.
        self._projects = self.operation.operation is OperationType.QUERY and not wrapped

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        if self._projects and position_context is None:
            field = self._field(parent_type, field_details_list)
            if field is not None:
                try:
                    return field.read(source)
                except Exception:  # noqa: BLE001, S110 - the executor meets it again
                    pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if isinstance(result, Written):
            return result.fragment
        value = result.value if isinstance(result, ToWrite) else result
        completed = super().complete_value(
            return_type, field_details_list, info, path, value, position_context
        )
        if not isinstance(result, ToWrite) or self.is_awaitable(completed) or self.collected_errors.errors:
            return completed
        return result.written(completed)

    def _field(self, parent: GraphQLObjectType, selected: FieldDetailsList) -> _Compiled | None:
        """None where only the executor can."""
        kept = self._fields.get(id(selected))
        if kept is None:
            try:
                field = self._compiled(parent, selected)
            except Exception:  # noqa: BLE001 - such as an argument that does not hold
                field = None
            self._fields[id(selected)] = kept = selected, field
        return kept[1]

    def _compiled(self, parent: GraphQLObjectType, selected: FieldDetailsList) -> _Compiled | None:
        name = selected[0].node.name.value
        if name == "__typename":
            return _Compiled(lambda _source: parent.name, str, str)
        field = parent.fields.get(name)
        get = self._source(field, selected[0]) if field else None
        shown = self._value(field.type, selected) if field and get else None
        if field is None or get is None or shown is None:
            return None
        of = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        return _Compiled(get, shown, _PLAIN.get(of))

    def _source(self, field: GraphQLField, details: FieldDetails) -> Read | None:
        """What the field's resolver gives."""
        definition = (field.extensions or {}).get(_DEFINITION)
        if not isinstance(definition, StrawberryField) or definition.extensions:
            return None
        at_hand: Read | None = definition.metadata.get(AT_HAND)
        if at_hand is not None or definition.is_async:
            return at_hand
        resolver = definition.base_resolver
        if resolver is None:
            return attrgetter(definition.python_name) if definition.default_resolver is getattr else None
        reserved = {spec for spec, parameter in resolver.reserved_parameters.items() if parameter}
        if len(reserved) != 1 or not resolver.self_parameter:
            return None
        schema: Any = (self.schema.extensions or {})[_DEFINITION]
        given = get_argument_values(
            field, details.node, self.variable_values, details.fragment_variable_values, self.hide_suggestions
        )
        registry = schema.schema_converter.scalar_registry
        arguments = convert_arguments(given, definition.arguments, registry, schema.config)
        # Itself: the resolver's call only checks that there is one.
        function: Any = resolver.wrapped_func
        return partial(function, **arguments) if arguments else function

    def _value(self, of: GraphQLOutputType, selected: FieldDetailsList) -> Read | None:
        if isinstance(of, GraphQLNonNull):
            return self._present(of.of_type, selected)
        read = self._present(of, selected)
        return None if read is None else lambda value: None if value is None else read(value)

    def _present(self, of: GraphQLOutputType, selected: FieldDetailsList) -> Read | None:
        if isinstance(of, GraphQLList):
            return _list(self._value(of.of_type, selected))
        if isinstance(of, GraphQLObjectType):
            return self._object(of, selected)
        return self._leaf(of) if is_leaf_type(of) else None

    def _object(self, of: GraphQLObjectType, selected: FieldDetailsList) -> Read | None:
        definition = (of.extensions or {}).get(_DEFINITION)
        if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of:
            return None
        generic = definition.concrete_of
        classes = {definition.origin, generic.origin if generic else definition.origin}
        fields, deferred, _ = self.collect_subfields(of, selected)
        compiled = {name: self._field(of, details) for name, details in fields.items()}
        known = [(name, *field) for name, field in compiled.items() if field is not None]
        if deferred or len(known) < len(compiled):
            return None

        def read_object(value: Any) -> dict[str, Any]:
            if value.__class__ not in classes:
                raise _Unlike
            answer = {}
            for name, get, shown, plain in known:
                found = get(value)
                answer[name] = found if found.__class__ is plain else shown(found)
            return answer

        return read_object

    def _leaf(self, of: Any) -> Read:
        if of is GraphQLInt:
            return _int
        plain = _PLAIN.get(of)
        names: dict[Any, str] = {}
        kind = getattr(of, "wrapped_cls", None) if isinstance(of, GraphQLEnumType) else _REPEATED.get(of.name)

        def read_leaf(value: Any) -> Any:
            if value.__class__ is plain:
                return value
            if value.__class__ is kind and value in names:
                return names[value]
            if isinstance(value, Exception) or self.is_awaitable(value):
                raise _Unlike
            serialised = of.coerce_output_value(value)
            if serialised is None or serialised is Undefined:
                raise _Unlike
            if value.__class__ is kind:
                names[value] = serialised
            return serialised

        return read_leaf


def _int(value: Any) -> int:
    if value.__class__ is not int or not GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT:
        raise _Unlike
    return value


def _list(item: Read | None) -> Read | None:
    def read_list(value: Any) -> list[Any]:
        if value.__class__ is not list and value.__class__ is not tuple:
            raise _Unlike
        return [read(member) for member in value]

    if item is None:
        return None
    read = item
    return read_list


_PLAIN: dict[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
"""Classes whose values stand for themselves."""
_REPEATED = {"DateTime": datetime}
"""Classes of scalars whose values come again and again on a page: what stands for one is worked out once."""
