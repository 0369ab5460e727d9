"""The metrics of this process, each declared once: its name, what it means, its labels.

``cohort_…_total`` and histograms grow from the start of the process. Seconds are seconds, sizes are counts. What is counted
elsewhere anyway is read from there when somebody looks (``sources.py``).
"""

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

REGISTRY = CollectorRegistry()
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
_POINTS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)

REQUESTS = Counter("cohort_requests", "Requests that were answered", ["route", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "cohort_request_seconds",
    "Seconds from a request's head to the end of its answer",
    ["route"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
ERRORS = Counter("cohort_errors", "Errors in answers, by their code", ["route", "code"], registry=REGISTRY)
OPERATIONS = Counter(
    "cohort_operations", "GraphQL operations that were executed", ["type", "operation"], registry=REGISTRY
)
OPERATION_SECONDS = Histogram(
    "cohort_operation_seconds",
    "Seconds of requests with this GraphQL operation",
    ["operation"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
SLOW_REQUESTS = Counter(
    "cohort_slow_requests", "Requests that took slow_request seconds or more", ["route"], registry=REGISTRY
)
COST_POINTS = Histogram(
    "cohort_request_cost_points",
    "Points of a request: estimated before it is executed, and what it really cost",
    ["kind"],
    buckets=_POINTS,
    registry=REGISTRY,
)
OVER_RATE = Counter(
    "cohort_over_rate",
    "Requests of callers who had spent what they may: refused, or let_through because the settings only warn",
    ["who", "outcome"],
    registry=REGISTRY,
)
WAYS = Counter(
    "cohort_compiled_answers",
    "Lists of more than 16 members, and queries and mutations whose document is known, by the way they were answered",
    ["what", "way"],
    registry=REGISTRY,
)
FIGURES_READ = Counter(
    "cohort_figures_read",
    "Figures of learners in collections: as workers stored them, or computed from views that no worker has seen yet",
    ["source"],
    registry=REGISTRY,
)
LOADER_KEYS = Histogram(
    "cohort_loader_batch_keys",
    "Keys that a loader reads together",
    ["loader"],
    buckets=_SIZES,
    registry=REGISTRY,
)
STORE_SECONDS = Histogram(
    "cohort_store_seconds",
    "Seconds of a call of a store",
    ["store", "operation"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
STORE_FAILURES = Counter(
    "cohort_store_failures", "Calls that a store did not answer", ["store", "code"], registry=REGISTRY
)
BATCHES = Counter("cohort_consumer_batches", "Batches of events that were done", ["group"], registry=REGISTRY)
BATCH_SECONDS = Histogram(
    "cohort_consumer_batch_seconds",
    "Seconds of a batch, its waiting for stores included",
    ["group"],
    buckets=(*_SECONDS, 30.0, 60.0, 300.0),
    registry=REGISTRY,
)
EVENTS_DONE = Counter(
    "cohort_consumer_events", "Events that were done", ["group", "topic"], registry=REGISTRY
)
NEWEST_EVENT = Gauge(
    "cohort_consumer_newest_event_timestamp_seconds",
    "When the newest event that was done came into the log",
    ["group"],
    registry=REGISTRY,
)
RESTARTS = Counter(
    "cohort_restarts", "Parts of a process that died and were started anew", ["part"], registry=REGISTRY
)
LOOP_LAG = Histogram(
    "cohort_loop_lag_seconds",
    "Seconds that the event loop came late to what was due",
    buckets=_SECONDS,
    registry=REGISTRY,
)
BUILD = Gauge(
    "cohort_build_info", "Which program this is: always 1", ["version", "python"], registry=REGISTRY
)

# Of the instance, read from its stores now and then (gateway/watching.py), not when somebody looks.
LAG = Gauge(
    "cohort_consumer_lag_events",
    "Events that a group has not committed yet",
    ["group", "topic"],
    registry=REGISTRY,
)
AGGREGATED_AT = Gauge(
    "cohort_last_aggregation_timestamp_seconds",
    "When the last complete aggregation began; 0 before the first",
    registry=REGISTRY,
)
DEAD_LETTERS = Gauge("cohort_dead_letters", "Dead letters that wait", registry=REGISTRY)
JOBS = Gauge("cohort_jobs", "Jobs that are known", ["kind", "state"], registry=REGISTRY)
LOOKED_AT = Gauge(
    "cohort_instance_read_timestamp_seconds",
    "When lag, figures, dead letters and jobs were last read; absent where another process reads them",
    ["what"],
    registry=REGISTRY,
)


_ESTIMATED, _ACTUAL = COST_POINTS.labels("estimate"), COST_POINTS.labels("actual")


def observe_cost(estimate: int | None, actual: int | None) -> None:
    """Counts the points of one request: those estimated before it, and what it really cost. None for one that is not known."""
    if estimate is not None:
        _ESTIMATED.observe(estimate)
    if actual is not None:
        _ACTUAL.observe(actual)


def tell_build(version: str) -> None:
    """Says which version of Cohort this is."""
    BUILD.labels(version, platform.python_version()).set(1)


def exposed(accept: str) -> tuple[bytes, str]:
    """All figures as Prometheus reads them, in the format that ``accept`` asks for, and its media type."""
    encode, media_type = choose_encoder(accept)
    return encode(REGISTRY), media_type
