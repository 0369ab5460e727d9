"""What operators see of an operation: its type and name, and a span of its execution."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from graphql import OperationDefinitionNode, get_operation_ast
from strawberry.extensions import SchemaExtension

from graph.execution.answered_fields import has_begun
from telemetry import traces
from telemetry.requests import noted


class OperationNoted(SchemaExtension):
    """The extension of one request. It notes operations of valid documents alone: those have names. Where compiled code has begun
    the operation, that has noted it: its span gets the moment at which the libraries go on."""

    def on_execute(self) -> Iterator[None]:
        if has_begun():
            if traces.are_on():
                traces.event("the libraries go on")
            yield
            return
        context = self.execution_context
        document = context.graphql_document
        operation = None if document is None else get_operation_ast(document, context.operation_name)
        with execution_of(operation):
            yield


def execution_of(operation: OperationDefinitionNode | None) -> AbstractContextManager[None]:
    """Notes the operation, if there is one. The span of its execution."""
    notes = noted()
    if notes is not None and operation is not None:
        notes.type = operation.operation.value
        notes.operation = operation.name.value if operation.name else ""
    return traces.span("graphql.execute", {})
