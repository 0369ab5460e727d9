"""What operators see of a batch of events: how many of which topic, how long it took, and a span that is linked to those which
sent the events."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from stores.events import Record
from telemetry import traces
from telemetry.metrics import BATCH_SECONDS, BATCHES, EVENTS_DONE, NEWEST_EVENT


@contextmanager
def watched(group: str, records: Sequence[Record]) -> Iterator[None]:
    """Within, the members of the group do these records, which are not none. What fails is traced and not counted as done."""
    began = perf_counter()
    parents = [
        record.headers[traces.TRACEPARENT] for record in records if traces.TRACEPARENT in record.headers
    ]
    with traces.batch_span(f"{group} batch", parents, {"group": group, "events": len(records)}):
        yield
    BATCH_SECONDS.labels(group).observe(perf_counter() - began)
    BATCHES.labels(group).inc()
    for topic, count in Counter(record.topic for record in records).items():
        EVENTS_DONE.labels(group, topic).inc(count)
    NEWEST_EVENT.labels(group).set(max(record.appended_at for record in records) / 1000)
