"""Which variable a field is given for which of its arguments: a client that sends variables alone knows no other names (R-MCP-4)."""

from collections.abc import Iterable, Iterator, Mapping

from graphql import FieldNode, ListValueNode, Node, ObjectValueNode, VariableNode


def variables_given(node: FieldNode) -> Mapping[str, str]:
    """The variables that the field is given, by the names of the arguments and input fields that they are given for. A name that
    several variables are given for is left out."""
    found: dict[str, set[str]] = {}
    for name, variable in _given(node.arguments or ()):
        found.setdefault(name, set()).add(variable)
    return {name: next(iter(variables)) for name, variables in found.items() if len(variables) == 1}


def variable_at_fault(nodes: Iterable[Node], field: str) -> str | None:
    """The variable that one of these nodes is given for the argument or input field; None where it is given none."""
    for node in nodes:
        if isinstance(node, FieldNode) and (variable := variables_given(node).get(field)):
            return variable
    return None


def _given(nodes: Iterable[Node]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        yield from _in_value(node.name.value, node.value)  # type: ignore[attr-defined]  # each is an argument or a field


def _in_value(name: str, value: Node) -> Iterator[tuple[str, str]]:
    match value:
        case VariableNode():
            yield name, value.name.value
        case ObjectValueNode():
            yield from _given(value.fields)
        case ListValueNode():
            for one in value.values:
                yield from _in_value(name, one)
