"""Requests that nobody wrote: documents by the schema and calls by the endpoints, some right, some nearly, some not at all. The
same seed makes the same requests."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    ast_from_value,
    get_named_type,
    print_ast,
)

from gateway.rest.framework.endpoints import Endpoint
from graph.execution.upstream import core_schema
from graph.schema import schema

CORE = core_schema(schema)
IDS = ("ada", "bob", "course", "unit-1", "a", "b", "batch", "g", "nowhere")
ODD = (
    "",
    " ",
    "\u202e",
    "null",
    "a" * 300,
    "💥",
    '"',
    "\\",
    "'; DROP TABLE x",
    "../..",
    "{}",
    "%00",
    "Learner:ada",
    "=1+1",
)
NUMBERS = (0, 1, -1, 2, 20, 200, 201, 2**31, -(2**31) - 1, 10**30)
TIMES = (
    "2026-03-01T00:00:00Z",
    "2026-03-01",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "soon",
    "2026-02-30",
)
DEEPEST = 6
TOKENS = (
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "$x",
    "@skip(if: true)",
    "... on Learner {",
    "fragment f on Query",
    "#",
    '"""',
    "!",
    "\x00",
    "query",
)


METHODS = (
    "initialize",
    "ping",
    "tools/list",
    "server/discover",
    "notifications/cancelled",
    "resources/read",
    "tasks/get",
)


class Maker:
    """Makes requests by one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def document(self) -> str:
        """A document; every fifth is spoilt."""
        mutation = self._random.random() < 0.15
        root = CORE.mutation_type if mutation else CORE.query_type
        assert root is not None
        text = f"{'mutation' if mutation else 'query'} Made {self._selection(root, 0)}"
        return self._spoilt(text) if self._random.random() < 0.2 else text

    def value(self, field: str = "") -> Any:
        """Some JSON value, more often one that the field may have."""
        pick = self._random.random()
        if pick < 0.5:
            return self._random.choice(IDS)
        if pick < 0.6:
            return self._random.choice(ODD)
        if pick < 0.7:
            return self._random.choice(NUMBERS)
        if pick < 0.8:
            return self._random.choice((*TIMES, True, False, None, 1.5))
        if pick < 0.9:
            return [self.value() for _ in range(self._random.randrange(4))]
        return {self._random.choice((*IDS, field or "name")): self.value() for _ in range(2)}

    def call(self, endpoint: Endpoint[Any]) -> tuple[str, str, Mapping[str, Any]]:
        """Method, path and request of a call of the endpoint."""
        path = endpoint.path
        for part in [piece.partition("}")[0] for piece in path.split("{")[1:]]:
            path = path.replace(f"{{{part}}}", str(self._random.choice((*IDS, "x%2Fy", "%F0%9F%92%A5"))))
        names = [field.alias or name for name, field in endpoint.request.model_fields.items()]
        asked = {name: self.value(name) for name in names if self._random.random() < 0.7}
        if self._random.random() < 0.2:
            asked[self._random.choice((*ODD, "userid"))] = self.value()
        return endpoint.method, path, asked

    def message(self, tools: Mapping[str, Sequence[str]]) -> Any:
        """What an agent sends: mostly a call of one of the tools, by name and the names of its arguments; every fifth time
        something else, or not even that."""
        if self._random.random() < 0.1:
            return self.value()
        name = self._random.choice([*tools, *ODD])
        known = tools.get(name, IDS)
        arguments = {argument: self.value(argument) for argument in known if self._random.random() < 0.7}
        if self._random.random() < 0.1:
            arguments[self._random.choice(ODD)] = self.value()
        sent: dict[str, Any] = {
            "jsonrpc": "2.0",
            "id": self._random.choice((1, "one")),
            "method": "tools/call",
            "params": {"name": name, "arguments": arguments},
        }
        if self._random.random() < 0.2:
            part, other = (
                self._random.choice((*sent, "params.name", "params.arguments", "params._meta")),
                self.value(),
            )
            if part.startswith("params."):
                sent["params"][part.partition(".")[2]] = other
            else:
                sent[part] = self._random.choice((other, *METHODS))
        return sent

    def chosen(self, several: Any) -> Any:
        return self._random.choice(several)

    def _selection(self, of: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        names = list(of.fields)
        few = self._random.randrange(1, 4 if depth else 3)
        parts = [self._field(of, self._random.choice(names), depth) for _ in range(few)]
        return "{ __typename " + " ".join(parts) + " }"

    def _field(self, of: GraphQLObjectType | GraphQLInterfaceType, name: str, depth: int) -> str:
        field = of.fields[name]
        alias = f"x{self._random.randrange(1_000_000)}: "
        given = [
            f"{argument}: {self._argument(one)}"
            for argument, one in field.args.items()
            if isinstance(one.type, GraphQLNonNull) or self._random.random() < 0.4
        ]
        arguments = f"({', '.join(given)})" if given else ""
        below = get_named_type(field.type)
        if isinstance(below, GraphQLObjectType | GraphQLInterfaceType):
            within = self._selection(below, depth + 1) if depth < DEEPEST else "{ __typename }"
        else:
            within = "{ __typename }" if isinstance(below, GraphQLUnionType) else ""
        return f"{alias}{name}{arguments} {within}"

    def _argument(self, one: GraphQLArgument | GraphQLInputField, depth: int = 0) -> str:
        return self._literal(one.type, depth)

    def _literal(self, of: Any, depth: int) -> str:
        if self._random.random() < 0.03:
            return self._random.choice(("null", "[]", "{}", "1", '"x"', "ENUM", "true", "$none"))
        if isinstance(of, GraphQLNonNull):
            return self._literal(of.of_type, depth)
        if isinstance(of, GraphQLList):
            return (
                f"[{', '.join(self._literal(of.of_type, depth) for _ in range(self._random.randrange(4)))}]"
            )
        if isinstance(of, GraphQLEnumType):
            return str(self._random.choice(list(of.values)))
        if isinstance(of, GraphQLInputObjectType):
            return self._input(of, depth)
        match of.name:
            case "Int":
                return str(self._random.choice(NUMBERS[:7]))
            case "Float":
                return self._random.choice(("0", "0.5", "-1", "1e300"))
            case "Boolean":
                return str(self._random.choice(("true", "false")))
            case "DateTime" | "Date":
                return f'"{self._random.choice(TIMES)}"'
            case "JSON":
                return self._random.choice(("{}", '{a: "b"}', "[1, 2]", "null", "7"))
        node = ast_from_value(self._random.choice((*IDS, *IDS, *ODD)), CORE.type_map["String"])  # type: ignore[arg-type]
        assert node is not None
        return print_ast(node)

    def _input(self, of: GraphQLInputObjectType, depth: int) -> str:
        likely = 0.5 if depth < 3 else 0.1
        given = [
            f"{name}: {self._literal(field.type, depth + 1)}"
            for name, field in of.fields.items()
            if isinstance(field.type, GraphQLNonNull) or self._random.random() < likely
        ]
        return "{" + ", ".join(given) + "}"

    def _spoilt(self, text: str) -> str:
        at = self._random.randrange(len(text))
        match self._random.randrange(4):
            case 0:
                return text[:at]
            case 1:
                return text[:at] + self._random.choice(TOKENS) + text[at:]
            case 2:
                return text[:at] + text[at + self._random.randrange(8) :]
        return text + " " + text
