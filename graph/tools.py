"""The trusted documents as tools for agents: each operation is one, named, described and typed by its document (R-MCP-1)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    TokenKind,
    TypeInfo,
    TypeInfoVisitor,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    get_operation_ast,
    separate_operations,
    type_from_ast,
    value_from_ast_untyped,
    visit,
)

from graph.answer_schemas import AS_OF, COMPLETE, TYPENAME, Answer, answer_of
from graph.execution.upstream import core_schema
from graph.given_arguments import variables_given
from graph.json_schemas import DEFS, components_of, schema_of
from graph.schema import CohortSchema
from graph.told_figures import asking_all_told
from resolvers.nouns import Json, TrustedDocument, without_hidden

LONGEST_NAME = 64
"""Characters. The protocol allows 128, but models take no more."""
ADDITIVE = frozenset(
    [
        "enrol",
        "startView",
        "updateView",
        "endView",
        "submitAssessment",
        "createContext",
        "createGroup",
        "reactivateGroup",
        "visitGroup",
        "downloadSummary",
        "requestExhaust",
        "createContent",
        "createCollection",
        "addChildren",
    ]
)
"""Mutations that take nothing away from what was there."""
REPEATABLE = frozenset(
    [
        "enrol",
        "unenrol",
        "startView",
        "endView",
        "createContext",
        "updateContext",
        "updateLearner",
        "suspendGroup",
        "reactivateGroup",
        "deleteGroup",
        "visitGroup",
        "leaveGroup",
        "deleteSummary",
        "eraseLearner",
        "retireContent",
        "removeChildren",
    ]
)
"""Mutations that, sent again as they were, change nothing more (docs/api.md tells of each)."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One operation of a trusted document. ``arguments`` and ``answer``: the JSON Schemas of its variables and of what a call
    gives. ``given``: by the names of the fields at the top of the answer, which variable each is given for which argument or input
    field. ``reads``: it changes nothing. ``text``: what is executed, ``document`` asking for all that graph/told_figures.py names.
    ``superseded``: another document, loaded later, has an operation of its name. It is called, and not listed: each release of a
    client would list all of its tools once more."""

    name: str
    description: str
    document: TrustedDocument
    operation: str | None
    text: str
    arguments: Json
    answer: Json
    told: Answer
    given: Mapping[str, Mapping[str, str]]
    reads: bool
    destructive: bool
    repeatable: bool
    superseded: bool = False


def tools_of(schema: CohortSchema, document: TrustedDocument) -> Sequence[Tool]:
    """A tool for each operation of the document, by the names that they have there; none where the schema does not let it
    through any more."""
    try:
        known = schema.known(document.text)
    except GraphQLError:
        return ()
    if known.errors:
        return ()
    core, text, executed = core_schema(schema), document.text, known.document
    if (asking := asking_all_told(core, known.document)) is not None and not _errors(schema, asking):
        text, executed = asking, schema.known(asking).document
    return [
        _tool(core, document, text, operation, _operation(executed, operation))
        for operation in known.document.definitions
        if isinstance(operation, OperationDefinitionNode)
    ]


def uniquely_named(tools: Iterable[Tool]) -> Mapping[str, Tool]:
    """The tools by names that no two have. Of one name the one whose document was loaded last keeps it; the others get
    the beginning of their document's id."""
    found: dict[str, Tool] = {}
    newest_first = sorted(tools, key=lambda tool: tool.document.id)
    newest_first.sort(key=lambda tool: tool.document.loaded_on, reverse=True)
    for tool in newest_first:
        name = tool.name
        for digits in (8, 16, 32):
            if name not in found:
                break
            name = f"{tool.name[: LONGEST_NAME - digits - 1]}_{tool.document.id[:digits]}"
        found[name] = replace(tool, name=name, superseded=name != tool.name)
    return dict(sorted(found.items()))


def _tool(
    core: GraphQLSchema,
    document: TrustedDocument,
    text: str,
    told: OperationDefinitionNode,
    executed: tuple[DocumentNode, OperationDefinitionNode],
) -> Tool:
    """``told``: the operation as the client wrote it, with its comments; ``executed``: as it is carried out."""
    answer = answer_of(core, *executed)
    changed = answer.fields - {TYPENAME}
    reads = told.operation is OperationType.QUERY
    return Tool(
        name=(told.name.value if told.name else f"document_{document.id[:8]}")[:LONGEST_NAME],
        description=_description(core, told),
        document=document,
        operation=told.name.value if told.name else None,
        text=text,
        arguments=_arguments(core, *executed),
        answer=_envelope(answer.schema),
        told=answer,
        given=_given(executed[1]),
        reads=reads,
        destructive=not reads and not ADDITIVE.issuperset(changed),
        repeatable=reads or REPEATABLE.issuperset(changed),
    )


def _errors(schema: CohortSchema, text: str) -> Sequence[GraphQLError]:
    try:
        return schema.known(text).errors
    except GraphQLError as error:
        return [error]


def _operation(
    document: DocumentNode, like: OperationDefinitionNode
) -> tuple[DocumentNode, OperationDefinitionNode]:
    operation = get_operation_ast(document, like.name.value if like.name else None)
    assert operation is not None  # noqa: S101 - the documents differ in what they ask alone
    return document, operation


def _description(core: GraphQLSchema, operation: OperationDefinitionNode) -> str:
    """The operation's own, or the comment above it, or else what the schema says of its fields at the top."""
    own: Any = operation.description
    if isinstance(own, StringValueNode) and own.value.strip():
        return without_hidden(own.value, lines=True).strip()
    return "\n".join(_comment(operation)) or "\n".join(_of_fields(core, operation))


def _comment(operation: OperationDefinitionNode) -> Sequence[str]:
    lines: list[str] = []
    token = operation.loc.start_token.prev if operation.loc else None
    while token is not None and token.kind is TokenKind.COMMENT:
        lines.insert(0, without_hidden(token.value or "").strip())
        token = token.prev
    return [line for line in lines if line]


def _of_fields(core: GraphQLSchema, operation: OperationDefinitionNode) -> Iterator[str]:
    root = core.get_root_type(operation.operation)
    for one in operation.selection_set.selections:
        field = core.get_field(root, one.name.value) if root and isinstance(one, FieldNode) else None
        if field is not None and field.description:
            yield field.description


def _arguments(core: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Json:
    """The JSON Schema of the operation's variables. One with a default, or that may be null, may be left out."""
    described = _Described(TypeInfo(core))
    alone = separate_operations(document)[operation.name.value if operation.name else ""]
    visit(alone, TypeInfoVisitor(described.types, described))
    properties: dict[str, Json] = {}
    required: list[str] = []
    inputs: dict[str, Json] = {}
    for variable in operation.variable_definitions or ():
        name = variable.variable.name.value
        kind: Any = type_from_ast(core, variable.type)
        told = dict(schema_of(kind, refs=DEFS))
        if description := _description_of(variable) or described.of.get(name):
            told["description"] = description
        if variable.default_value is not None:
            told["default"] = value_from_ast_untyped(variable.default_value)
        elif isinstance(kind, GraphQLNonNull):
            required.append(name)
        properties[name] = told
        if isinstance(named := get_named_type(kind), GraphQLInputObjectType):
            inputs |= components_of(named, DEFS)
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"$defs": dict(sorted(inputs.items()))} if inputs else {}),
    }


def _given(operation: OperationDefinitionNode) -> Mapping[str, Mapping[str, str]]:
    return {
        (one.alias or one.name).value: variables_given(one)
        for one in operation.selection_set.selections
        if isinstance(one, FieldNode)
    }


def _description_of(variable: VariableDefinitionNode) -> str:
    own: Any = getattr(variable, "description", None)
    return without_hidden(own.value, lines=True).strip() if isinstance(own, StringValueNode) else ""


class _Described(Visitor):
    """What the schema says of the arguments and input fields that variables are given to, by the variables' names."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.of: dict[str, str] = {}

    def enter_object_field(self, node: Any, *_: Any) -> None:
        self._note(node.value, node.name.value)

    def enter_argument(self, node: Any, *_: Any) -> None:
        argument = self.types.get_argument()
        if isinstance(node.value, VariableNode) and argument is not None and argument.description:
            self.of.setdefault(node.value.name.value, argument.description)

    def _note(self, value: Any, name: str) -> None:
        of = get_named_type(self.types.get_parent_input_type())
        if isinstance(value, VariableNode) and isinstance(of, GraphQLInputObjectType) and name in of.fields:
            self.of.setdefault(value.name.value, of.fields[name].description or "")


def _envelope(data: Json) -> Json:
    """What a call gives: the answer as GraphQL has it, as of when it is, and whether it is complete."""
    error = {
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "path": {"type": "array"},
            "extensions": {"type": "object"},
        },
        "required": ["message"],
    }
    return {
        "type": "object",
        "properties": {
            "data": {"anyOf": [data, {"type": "null"}]},
            "errors": {"type": "array", "items": error},
            AS_OF: {
                "type": ["string", "null"],
                "description": "What was known by then is in the answer; null where it has figures that do not say.",
            },
            COMPLETE: {
                "type": "boolean",
                "description": "False where a part is missing or refused, or figures are older than they should be.",
            },
        },
        "required": ["data", AS_OF, COMPLETE],
    }
