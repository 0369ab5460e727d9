"""An executor that answers plain attributes by compiled functions, about 20 times as fast as field by field.

Compiled is what needs nothing but the object at hand: attributes, resolvers that are no coroutines and take no
``info``, and fields that say how they are answered ``at_hand``, with all that is below them. The rest goes field by
field, as ever. Where the turn of the loop is over, it refuses, too: the executor goes on in later turns, with
compiled members of lists. So does every value that is not plainly of its type, and every object of which a resolver refuses to answer:
the executor meets it again and reports it at its path. Resolvers of this kind may be called twice, and must not mind. Any
other exception is a fault of Cohort: it is not tried again, and is told at the field that was compiled.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from operator import attrgetter
from typing import Any, Self

from graphql import (
    DocumentNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    Undefined,
    get_named_type,
    is_leaf_type,
)

from graph.execution.kept_readers import Readers
from graph.execution.leaves import FAILURES, Choices, Moments, whole_number
from graph.execution.light import Light, is_light, lights_of
from graph.execution.object_readers import EXACT, FLAG, REAL, TEXT, WHOLE, FieldReader, object_reader
from graph.execution.reads import Caller, NotPlain, Read, Show
from graph.execution.upstream import (
    LEAST,
    Executor,
    Path,
    Selected,
    attribute_of,
    classes_of,
    definition_of,
    enum_class_of,
    plain_function_of,
)
from graph.fields import AT_HAND
from resolvers.nouns import PORTION, far_over
from telemetry.metrics import WAYS

FEW = 16
"""Members of a list that are worked on without a look at the clock, and not counted: that would take longer than they do."""
FIRST = 3
"""Members of a list that may be refused, before one was read, until no other is tried."""
_LIGHT, _WHOLE, _OBJECTS, _MEMBERS, _REFUSED, _UNBOUND = (
    WAYS.labels("list", way) for way in ("light", "made_whole", "objects", "by_member", "refused", "unbound")
)


class _OfList:
    """Reads the members of a list; none any more where the first ones were all refused: what is asked of them is not at hand."""

    __slots__ = ("_first", "_read")

    def __init__(self, read: Show) -> None:
        self._read = read
        self._first = FIRST

    def __call__(self, member: Any, caller: Caller) -> Any:
        if not self._first:
            return self._read(member, caller)
        if self._first < 0:
            raise NotPlain
        try:
            shown = self._read(member, caller)
        except (NotPlain, AttributeError):
            self._first -= 1
            if not self._first:
                self._first = -1
                _REFUSED.inc()
            raise
        self._first = 0
        _MEMBERS.inc()
        return shown


class ProjectingExecutor(Executor):
    """The executor of one request. Arguments and directives are resolved with its variables when a field is first
    met."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fields: dict[int, tuple[Selected, FieldReader | None]] = {}
        """The compiled fields by identity of their selections, which are kept so that no others get the same."""
        self._shows: dict[int, tuple[Selected, Show | None]] = {}
        """What answers them, in the same way."""
        self._members: dict[int, tuple[Selected, Show | None]] = {}
        """The same of the members of lists."""
        self.readers: Readers | None = None

    @classmethod
    def build(cls, schema: GraphQLSchema, document: DocumentNode, *args: Any, **more: Any) -> Any:
        built = super().build(schema, document, *args, **more)
        if isinstance(built, cls):
            built.readers = cls.readers_of(document)
        return built

    @classmethod
    def readers_of(cls, document: DocumentNode) -> Readers | None:
        """The hook: what is compiled of the document and serves all its requests; None where nothing of it is kept."""
        return None

    @classmethod
    def of_document(cls, schema: GraphQLSchema, document: DocumentNode) -> Self:
        """An executor of the document that knows no variables, nor who asks."""
        parts = [part for part in document.definitions if not isinstance(part, OperationDefinitionNode)]
        first = next(part for part in document.definitions if isinstance(part, OperationDefinitionNode))
        bare = OperationDefinitionNode(operation=first.operation, selection_set=first.selection_set)
        executor: Self = cls.build(schema, DocumentNode(definitions=(bare, *parts)))
        return executor

    def value_reader(self, of: GraphQLOutputType, selected: Selected) -> Show | None:
        """Shows values of a type. None where only the executor can."""
        try:
            return self._value(of, selected)
        except GraphQLError:  # an argument that does not hold
            return None

    def reader(self, parent: GraphQLObjectType, selected: Selected) -> Show | None:
        kept = self._shows.get(id(selected))
        if kept is None:

            def compiled() -> Show | None:
                field = self._field(parent, selected)
                return None if field is None else field.read

            kept = self._shows[id(selected)] = selected, self._once("field", parent, selected, compiled)
        return kept[1]

    def member_reader(self, of: GraphQLOutputType, selected: Selected) -> Show | None:
        kept = self._members.get(id(selected))
        if kept is None:

            def compiled() -> Show | None:
                try:
                    return self._billed(of, selected)
                except GraphQLError:
                    return None

            kept = self._members[id(selected)] = selected, self._once("member", of, selected, compiled)
        return kept[1]

    def _once(
        self, kind: str, of: GraphQLOutputType, selected: Selected, compiled: Callable[[], Show | None]
    ) -> Show | None:
        """What is compiled, for all requests where the document keeps it."""
        return compiled() if self.readers is None else self.readers.reader(kind, of, selected, compiled)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: Selected,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if is_light(result) and isinstance(of := get_named_type(return_type), GraphQLObjectType):
            light = lights_of(classes_of(of) or ()).get(result.__class__)
            result = result if light is None else light.whole(result, self.context_value)
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def list_reader(self, of: GraphQLOutputType, selected: Selected, count: int) -> Show | None:
        if not self._reads or count <= FEW:
            return None
        read = self.member_reader(of, selected)
        if read is None:
            _UNBOUND.inc()
            return None
        return _OfList(read)

    def _billed(self, of: GraphQLOutputType, selected: Selected) -> Show | None:
        read, least = self._value(of, selected), self._least(of, selected)
        if read is None:
            return None
        item = read

        def read_member(member: Any, caller: Caller) -> Any:
            shown = item(member, caller)
            caller.bill.built(least)
            return shown

        return read_member

    def _least(self, of: GraphQLOutputType, selected: Selected) -> int:
        """Bytes that a member of a list takes in the answer, at least or nearly."""
        within = get_named_type(of)
        fields = self.below(within, selected) if isinstance(within, GraphQLObjectType) else None
        return LEAST * len(fields or (of,))

    def _field(self, parent: GraphQLObjectType, selected: Selected) -> FieldReader | None:
        """The compiled field; None if only the executor can answer it."""
        kept = self._fields.get(id(selected))
        if kept is not None:
            return kept[1]
        try:
            field = self._compiled(parent, selected)
        except GraphQLError:  # an argument that does not hold: the executor reports it
            field = None
        self._fields[id(selected)] = selected, field
        return field

    def _compiled(self, parent: GraphQLObjectType, selected: Selected) -> FieldReader | None:
        name = selected[0].node.name.value
        if name == "__typename":
            named = parent.name
            return FieldReader(
                lambda _: named, None, None, lambda value, _: str(value), TEXT, None, nullable=False
            )
        # A root field goes by its resolver, which asks first who may ask for it (graph/access.py).
        field = None if parent is self.schema.query_type else parent.fields.get(name)
        get, attribute, light = self._source(field, selected) if field else (None, None, None)
        if field is None or get is None:
            return None
        nullable = not isinstance(field.type, GraphQLNonNull)
        of = field.type if nullable else field.type.of_type
        shown = self._present(of, selected)
        if shown is None:
            return None
        if isinstance(shown, Moments | Choices):
            return FieldReader(get, attribute, light, shown, shown.ways, shown.kept, nullable)
        ways = _WAYS.get(of.name, ()) if is_leaf_type(of) else ()
        return FieldReader(get, attribute, light, shown, ways, None, nullable)

    def _source(self, field: GraphQLField, selected: Selected) -> tuple[Read | None, str | None, str | None]:
        """What the field's resolver gives, the attribute where it is one, and by which name a light member says that it has it."""
        definition = definition_of(field)
        if definition is None:
            return None, None, None
        at_hand: Read | None = definition.metadata.get(AT_HAND)
        if at_hand is not None:
            return at_hand, None, definition.python_name  # AttributeError: it is not at hand
        attribute = attribute_of(definition)
        if attribute is not None:
            return attrgetter(attribute), attribute, attribute
        function = plain_function_of(definition)
        if function is None:
            return None, None, None
        arguments = self.arguments(field, selected[0])
        return _tried(partial(function, **arguments) if arguments else function), None, None

    def _value(self, of: GraphQLOutputType, selected: Selected) -> Show | None:
        if isinstance(of, GraphQLNonNull):
            return self._present(of.of_type, selected)
        read = self._present(of, selected)
        if read is None:
            return None
        return lambda value, caller: None if value is None else read(value, caller)

    def _present(self, of: GraphQLOutputType, selected: Selected) -> Show | None:
        if isinstance(of, GraphQLList):
            return self._list(of, selected)
        if isinstance(of, GraphQLObjectType):
            return self._object(of, selected)
        return self._leaf(of) if is_leaf_type(of) else None

    def _list(self, of: GraphQLList[Any], selected: Selected) -> Show | None:
        read = self._value(of.of_type, selected)
        if read is None:
            return None
        item, least = read, self._least(of, selected)

        def read_list(value: Any, caller: Caller) -> list[Any]:
            if value.__class__ is not list and value.__class__ is not tuple:
                raise NotPlain
            built = caller.bill.built
            if len(value) <= FEW:
                shown = [item(member, caller) for member in value]
                built(least * len(value))
                return shown
            done, before = list[Any](), caller.made_whole
            for start in range(0, len(value), PORTION):
                if far_over():
                    raise NotPlain  # the executor completes it in turns
                portion = value[start : start + PORTION]
                done += [item(member, caller) for member in portion]
                built(least * len(portion))
            whole = caller.made_whole > before
            (_WHOLE if whole else _LIGHT if is_light(value[0]) else _OBJECTS).inc()
            return done

        return read_list

    def _object(self, of: GraphQLObjectType, selected: Selected) -> Show | None:
        classes, below = classes_of(of), self.below(of, selected)
        if classes is None or below is None:
            return None
        compiled = {name: self._field(of, details) for name, details in below.items()}
        known = {name: field for name, field in compiled.items() if field is not None}
        if len(known) != len(compiled):
            return None
        lights = lights_of(classes)
        read = {
            known[name].light for name, asked in below.items() if asked[0].node.name.value != "__typename"
        }
        direct = {light for light, how in lights.items() if read <= how.attributes}
        return object_reader(classes | direct, known, _whole(lights))

    def _leaf(self, of: Any) -> Show:
        if of is GraphQLInt:
            return whole_number
        if of is GraphQLFloat:
            return self._float(of)
        if isinstance(of, GraphQLEnumType) and (members := enum_class_of(of)) is not None:
            return Choices(self._serialising(of), members)
        if of.name == "DateTime":
            return Moments(self._serialising(of))
        plain, serialised = _PLAIN.get(of), self._serialising(of)
        return lambda value, _: value if value.__class__ is plain else serialised(value)

    def _float(self, of: Any) -> Show:
        serialised = self._serialising(of)

        def read_float(value: Any, _: Caller) -> Any:
            if value.__class__ is float and isfinite(value):
                return value
            if value.__class__ is int and -EXACT <= value <= EXACT:
                return float(value)
            return serialised(value)

        return read_float

    def _serialising(self, of: Any) -> Read:
        """Serialises values of this type. It does not know the executor, which keeps it: in a circle, all that a request has
        read would stay until the garbage collector finds it."""
        is_awaitable = self.is_awaitable

        def serialised(value: Any) -> Any:
            if isinstance(value, Exception) or is_awaitable(value):
                raise NotPlain
            try:
                shown = of.coerce_output_value(value)
            except FAILURES as error:
                raise NotPlain from error
            if shown is None or shown is Undefined:
                raise NotPlain
            return shown

        return serialised


def _whole(lights: Mapping[type, Light]) -> Show:
    def whole(source: Any, caller: Caller) -> Any:
        light = lights.get(source.__class__)
        if light is None:
            raise NotPlain
        caller.made_whole += 1
        return light.whole(source, caller.session)

    return whole


def _tried(function: Read) -> Read:
    """Answers as ``function`` does; NotPlain where that fails as a resolver may."""

    def read(source: Any) -> Any:
        try:
            return function(source)
        except FAILURES as error:
            raise NotPlain from error

    return read


_PLAIN: dict[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
"""Classes whose values stand for themselves."""
_WAYS = {"String": TEXT, "ID": TEXT, "Boolean": FLAG, "Int": WHOLE, "Float": REAL}
"""How values of the specification's scalars are shown where they are plainly of their type."""
