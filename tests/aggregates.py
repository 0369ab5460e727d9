"""Keys of aggregates, as tests name them."""

from rules.aggregates import AggregateKey


def figures_key(
    activity_id: str, user_id: str, context_id: str = "cb:batch", collection_id: str | None = None
) -> AggregateKey:
    """Of a unit of the sample course, or of any other activity as a collection of its own."""
    own = "course" if activity_id.startswith("unit-") else activity_id
    return AggregateKey(activity_id, collection_id or own, context_id, user_id)
