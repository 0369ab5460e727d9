"""What operators see of an operation: its type and name, and a span of its execution."""

from collections.abc import Iterator

from graphql import get_operation_ast
from strawberry.extensions import SchemaExtension

from telemetry import traces
from telemetry.requests import noted


class OperationNoted(SchemaExtension):
    """The extension of one request. It notes operations of valid documents alone: those have names."""

    def on_execute(self) -> Iterator[None]:
        context, notes = self.execution_context, noted()
        document = context.graphql_document
        operation = None if document is None else get_operation_ast(document, context.operation_name)
        if notes is not None and operation is not None:
            notes.type = operation.operation.value
            notes.operation = operation.name.value if operation.name else ""
        with traces.span("graphql.execute", {}):
            yield
