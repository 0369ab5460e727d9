"""What is counted where it happens, such as statements and hits of caches, as metrics: nothing is done for it before somebody
looks."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from telemetry.metrics import REGISTRY

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The counters of one instance.

    - ``statements``: by store, how many statements of each kind were sent.
    - ``answers``: of kept answers to group queries, by what became of a call (loaders/answers.py).
    - ``lookups``: by cache of this process, how many looks found something (``hit``) or not (``miss``).
    - ``cache_failures``: calls that the cache's server did not answer.
    """

    statements: Mapping[str, Counts]
    answers: Callable[[], Counts]
    lookups: Mapping[str, Callable[[], Counts]]
    cache_failures: Callable[[], int]


class Sources(Collector):
    """The sum of all sources of this process, which are one but in tests."""

    def __init__(self) -> None:
        self.open: list[Source] = []

    def collect(self) -> Iterator[Metric]:
        """Runs in the thread of who looks, while the loop counts on: a copy of a dict is one step."""
        sources = self.open[:]
        statements = _family("cohort_store_statements", "Statements that were sent", "store", "statement")
        answers = _family("cohort_answers", "Calls for kept answers to group queries", "outcome")
        lookups = _family("cohort_lookups", "Looks into what this process keeps", "kept", "result")
        failures = _family("cohort_cache_failures", "Calls that the cache's server did not answer")
        _fill(
            statements,
            ((store, dict(counts)) for source in sources for store, counts in source.statements.items()),
        )
        for outcome, count in _sum(source.answers() for source in sources).items():
            answers.add_metric([outcome], count)
        _fill(lookups, ((kept, counts()) for source in sources for kept, counts in source.lookups.items()))
        failures.add_metric([], sum(source.cache_failures() for source in sources))
        yield from (statements, answers, lookups, failures)


SOURCES = Sources()
REGISTRY.register(SOURCES)


@contextmanager
def counted(source: Source) -> Iterator[None]:
    """Within, the source's figures are among the metrics."""
    SOURCES.open.append(source)
    try:
        yield
    finally:
        SOURCES.open.remove(source)


def _family(name: str, told: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, told, labels=labels)


def _sum(counts: Iterator[Counts]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _fill(family: CounterMetricFamily, found: Iterator[tuple[str, Counts]]) -> None:
    total: Counter[tuple[str, str]] = Counter()
    for first, counts in found:
        for second, count in counts.items():
            total[first, second] += count
    for labels, count in total.items():
        family.add_metric(labels, count)
