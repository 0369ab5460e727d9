"""An executor that answers plain attributes by compiled functions, about 20 times as fast as field by field.

Compiled is what needs nothing but the object at hand: attributes, and resolvers that are no coroutines and take no
``info``, with all that is below them. The rest goes field by field, as ever. So does every value that is not plainly
of its type: the executor meets it again and reports it. Resolvers of this kind may be called twice, and must not mind.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLID,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
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

Read = Callable[[Any], Any]
"""From an object to what a field of it answers, or from a value to what stands for it in the answer."""
_DEFINITION = GraphQLCoreConverter.DEFINITION_BACKREF


class _Unlike(Exception):
    """The value is not plainly of its type."""


class ProjectingExecutor(StrawberryGraphQLCoreExecutionContext):
    """Of one request: arguments and directives are resolved with its variables when a field is first met."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reads: dict[int, tuple[FieldDetailsList, Read | None]] = {}
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
            read = self._read(parent_type, field_details_list)
            if read is not None:
                try:
                    return read(source)
                except Exception:  # noqa: BLE001, S110 - the executor meets it again
                    pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)

    def _read(self, parent: GraphQLObjectType, selected: FieldDetailsList) -> Read | None:
        """None where only the executor can."""
        kept = self._reads.get(id(selected))
        if kept is None:
            try:
                read = self._compiled(parent, selected)
            except Exception:  # noqa: BLE001 - such as an argument that does not hold
                read = None
            self._reads[id(selected)] = kept = selected, read
        return kept[1]

    def _compiled(self, parent: GraphQLObjectType, selected: FieldDetailsList) -> Read | None:
        name = selected[0].node.name.value
        if name == "__typename":
            return lambda _source: parent.name
        field = parent.fields.get(name)
        get = self._source(field, selected[0]) if field else None
        value = self._value(field.type, selected) if field and get else None
        return None if get is None or value is None else lambda source: value(get(source))

    def _source(self, field: GraphQLField, details: FieldDetails) -> Read | None:
        """What the field's resolver gives."""
        definition = (field.extensions or {}).get(_DEFINITION)
        if not isinstance(definition, StrawberryField) or definition.extensions or definition.is_async:
            return None
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
        return lambda source: resolver(source, **arguments)

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
        reads = [(name, self._read(of, details)) for name, details in fields.items()]
        known = [(name, read) for name, read in reads if read is not None]
        if deferred or len(known) < len(reads):
            return None

        def read_object(value: Any) -> dict[str, Any]:
            if value.__class__ not in classes:
                raise _Unlike
            return {name: read(value) for name, read in known}

        return read_object

    def _leaf(self, of: Any) -> Read:
        plain = _PLAIN.get(of)
        names: dict[Any, str] = {}
        kind = getattr(of, "wrapped_cls", None) if isinstance(of, GraphQLEnumType) else None

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
