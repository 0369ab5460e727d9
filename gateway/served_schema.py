"""The schema that is served. Who imports this imports the whole graph, which takes most of a second: a worker need not."""

from gateway.settings import Settings
from graph.documents.limits import Limits
from graph.schema import CohortSchema, schema_of
from graph.subgraph import subgraph_of


def document_limits(settings: Settings) -> Limits:
    """How large a document may be, and its answer."""
    return Limits(
        longest_document=settings.longest_document,
        most_tokens=settings.most_tokens,
        most_operations=settings.most_operations,
        most_fields=settings.most_fields,
        deepest=settings.deepest,
        most_aliases=settings.most_aliases,
        most_root_fields=settings.most_root_fields,
        most_directives=settings.most_directives,
        most_schema_values=settings.most_schema_values,
        most_errors=settings.most_errors,
        document_cache=settings.document_cache,
        warn_only=frozenset(settings.warn_only),
        introspection="open" if settings.dev else settings.introspection,
    )


def schema_by(settings: Settings) -> CohortSchema:
    """The schema that is served."""
    return (subgraph_of if settings.federation else schema_of)(document_limits(settings))
