"""The place where an instance is put together: settings, stores, what requests share, the worker, the publisher, the schedule."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial

from starlette.requests import HTTPConnection

from druid_specs import DATA_SOURCES
from gateway.callers import CallerNames
from gateway.http.on_behalf import FOR_HEADER, managed_token, only
from gateway.http.rates import Rates, charge_begun
from gateway.identity import Tokens, check_identity
from gateway.settings import Settings, SettingsError
from gateway.supervision import Supervised, supervised
from ingest.aggregation import aggregate
from ingest.archival import ArchivalOrder, archive_when_due
from ingest.attempts.taker import AttemptTaker
from ingest.exhausts.requests import ExhaustRunner
from ingest.jobs.context_lists import fill_context_lists
from ingest.jobs.records import OnProgress
from ingest.jobs.upgrade import upgrade
from ingest.learner_index.check import fill_learner_index
from ingest.learner_index.indexer import LearnerIndexer
from ingest.modes.agreement import agree
from ingest.publishing.publisher import Publisher
from ingest.schedule import Schedule
from ingest.workers.worker import Worker
from loaders.session import Session, Shared, utc_now
from resolvers.metric_links import MetricLinks
from rules.active_days import DayZone
from rules.assessments import AttemptRules
from rules.carry_rules import parse_rules
from rules.errors import InvalidInput, StoreUnavailable
from rules.form_checks import FormLimits
from rules.learner_groups import GroupLimits
from rules.modes import carries_nothing
from rules.plans import AggregationMode
from rules.prices import Budget, Price
from rules.rates import Rate
from rules.tracking import Tracking, TrackingMode
from rules.viewers import Role, Viewer
from rules.web_addresses import FetchRules
from stores.blob_links import BlobLinks
from stores.cache import Cache
from stores.column_files import FileFormat
from stores.engines import Stores, away, open_stores
from stores.schema import version_of
from stores.tables import TABLES
from stores.topics import TOPICS
from telemetry.requests import noted

log = logging.getLogger(__name__)

LOOK_EVERY = 3600.0
"""The most seconds after which a worker looks whether the archive is due."""
OPERATOR = Viewer("cohort", frozenset({Role.SERVICE}))
"""The viewer of commands that are run at a shell of the server."""


@dataclass(frozen=True)
class Cohort:
    """A running instance. ``worker`` and ``attempt_taker`` are those in this process, if there are any."""

    settings: Settings
    shared: Shared
    worker: Supervised | None = None
    attempt_taker: Supervised | None = None

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens.of(self.settings)

    @cached_property
    def callers(self) -> CallerNames:
        return CallerNames.of(self.settings)

    @cached_property
    def metric_links(self) -> MetricLinks | None:
        """The signer of links to tables of figures; None where the settings let nobody make any, or there is
        no key."""
        if self.settings.jwt_key is None or not (self.settings.metric_links or self.settings.dev):
            return None
        return MetricLinks(self.settings.signing_keys)

    @property
    def stores(self) -> Stores:
        return self.shared.stores

    async def session_of(self, request: HTTPConnection) -> Session:
        """The session of one request, by its bearer token, and by that of a managed user. Unauthenticated if one is not
        valid, InvalidInput if what should be that of a managed user is no token."""
        acting_for = only(request, FOR_HEADER)
        managed = managed_token(acting_for)
        if acting_for is not None and managed is None:
            raise InvalidInput(
                f"{FOR_HEADER} must be the token of a managed user; a service names users in what it asks for",
                field=FOR_HEADER,
            )
        return await self.session_by(only(request, "Authorization"), managed, request)

    async def session_by(
        self, authorization: str | None, managed: str | None, request: HTTPConnection
    ) -> Session:
        """The session of a request by the token in ``authorization`` and that of a managed user. What is noted of the request
        gets the caller's name, and it begins to cost points. RateLimited if the caller has none left."""
        viewer = Viewer()
        try:
            viewer = await self.tokens.viewer(authorization, managed)
        finally:
            self._note_caller(viewer, request)
        charge_begun(request, viewer)
        return Session(viewer, self.shared)

    def _note_caller(self, viewer: Viewer, request: HTTPConnection) -> None:
        """Notes a user, or the address of who is none or has not said so in a way that holds."""
        notes, client = noted(), request.client
        if notes is None:
            return
        if viewer.user_id is not None:
            notes.caller = self.callers.name(viewer.user_id, None)
        elif client is not None:
            notes.caller = self.callers.name(None, client.host)

    def operator(self) -> Session:
        """The session of a command that is run at a shell of the server."""
        return Session(OPERATOR, self.shared)


def opened(settings: Settings) -> AbstractAsyncContextManager[Stores]:
    """The stores alone, whatever version their schema has."""
    return open_stores(
        rows=settings.rows,
        events=settings.events,
        cache=settings.cache,
        groups=settings.groups,
        blobs=settings.blobs,
        search=settings.search,
        links=links_of(settings),
        prefix=settings.prefix,
        data=settings.data,
        copies=settings.archive_copies,
    )


@asynccontextmanager
async def running(
    settings: Settings, *, worker: bool = False, in_any_mode: bool = False, tells_away: bool = False
) -> AsyncIterator[Cohort]:
    """The whole instance. With ``worker`` it has a worker, an attempt taker, a publisher, a runner of exhausts, and on their
    schedules the aggregation and the archive.

    At the end all is closed in reverse order. StoreUnavailable if a store can't be opened. SettingsError if the schema
    has another version than this program, or if the rows are kept in another mode than the one that is set, unless
    ``in_any_mode``. ``tells_away``: logs a warning for each store that is away.
    """
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(opened(settings))
        await _check_schema(stores)
        if not in_any_mode:
            await check_mode(settings, stores)
        # After that: group figures are waited for, and never come where nothing was created yet.
        for kind, why in (await stores.away()).items() if tells_away else ():
            log.warning("%s is away: %s", kind, why)
        shared = Shared.of(
            stores,
            answers_ttl=settings.answers_ttl,
            answers_kept=settings.answers_kept,
            group_limits=GroupLimits(
                settings.group_members, settings.group_activities, settings.groups_per_learner
            ),
            form_limits=FormLimits(settings.deepest_collection, settings.largest_collection),
            mode=AggregationMode(settings.mode),
            tracking=tracking_of(settings),
            link_ttl=timedelta(seconds=settings.link_ttl),
            exhaust_ttl=timedelta(seconds=settings.exhaust_ttl),
            public_url=settings.public_url,
            day_zone=DayZone(settings.day_zone),
            budget=budget_of(settings),
            context_buckets=settings.context_buckets,
            privacy=settings.privacy,
            icon_rules=FetchRules(
                settings.icon_hosts,
                largest=settings.largest_icon,
                within=settings.icon_timeout,
                private_addresses=settings.icon_private_addresses,
            ),
        )
        stack.push_async_callback(shared.background.settled)
        at_work = taker = None
        if worker:
            at_work = await stack.enter_async_context(supervised(lambda: new_worker(settings, shared)))
            taker = await stack.enter_async_context(
                supervised(lambda: new_attempt_taker(settings, shared), "attempt taker")
            )
            await stack.enter_async_context(
                supervised(lambda: LearnerIndexer(shared, wait=settings.worker_wait), "learner indexer")
            )
            await stack.enter_async_context(supervised(lambda: Publisher(shared), "publisher"))
            await stack.enter_async_context(supervised(lambda: ExhaustRunner(shared), "exhausts"))
        if worker and settings.aggregate_every:
            await stack.enter_async_context(supervised(lambda: new_schedule(settings, shared), "aggregation"))
        if worker and settings.archive_every:
            await stack.enter_async_context(supervised(lambda: new_archival(settings, shared), "archive"))
        yield Cohort(settings, shared, at_work, taker)


def links_of(settings: Settings) -> BlobLinks | None:
    """The signer of links to files; None without a signing key, which commands can do without."""
    if settings.jwt_key is None:
        return None
    return BlobLinks(settings.signing_keys, settings.public_url)


def tracking_of(settings: Settings) -> Tracking:
    """The tracking mode with its rules."""
    return Tracking(TrackingMode(settings.tracking_mode), parse_rules(settings.tracking_rules))


def budget_of(settings: Settings) -> Budget:
    """What one request may cost."""
    most = Price(settings.budget_partitions, settings.budget_druid_rows, settings.budget_bytes)
    return Budget(most, enforced="budget" not in settings.warn_only)


def rates_of(settings: Settings, cache: Callable[[], Cache]) -> Rates:
    """How much each caller may spend, together with what others have spent by the cache."""
    return Rates(
        Rate("user", "rate_points", settings.rate_points),
        Rate("service", "rate_points_service", settings.rate_points_service),
        Rate("anonymous", "rate_points_anonymous", settings.rate_points_anonymous),
        cache=cache,
        enforced="rate" not in settings.warn_only,
    )


async def check_mode(settings: Settings, stores: Stores) -> None:
    """SettingsError if the rows are kept in another mode than the one that is set. The first start of an instance decides it."""
    wanted = TrackingMode(settings.tracking_mode)
    there = await agree(stores.rows, wanted, utc_now())
    if there.to is not None:
        raise SettingsError(
            f"the rows are going over from mode {there.mode.value} to {there.to.value}: "
            f"`cohort modes change --to {there.to.value}` goes on with it",
            field="tracking_mode",
        )
    if there.mode is not wanted:
        raise SettingsError(
            f"the rows are kept in mode {there.mode.value}, tracking_mode is {wanted.value}: set it to "
            f"{there.mode.value}, or run `cohort modes change --to {wanted.value}`",
            field="tracking_mode",
        )


def warn_of_settings(settings: Settings) -> None:
    """Logs what is wrong with the settings and yet does not keep a process from starting."""
    problem = carries_nothing(tracking_of(settings))
    if problem is not None:
        log.warning("tracking_rules: %s; in mode %s nothing is carried over", problem, settings.tracking_mode)


def new_worker(settings: Settings, shared: Shared) -> Worker:
    return Worker(shared, most=settings.worker_batch, wait=settings.worker_wait)


def new_attempt_taker(settings: Settings, shared: Shared) -> AttemptTaker:
    rules = AttemptRules(settings.assessed_leaves_only, settings.assessed_within_total)
    return AttemptTaker(shared, rules, wait=settings.worker_wait)


def new_schedule(settings: Settings, shared: Shared) -> Schedule:
    """The aggregation of a process that runs it again and again."""
    return Schedule(
        partial(aggregate, shared, static=settings.static), settings.aggregate_every, "aggregation"
    )


def archival_order(settings: Settings) -> ArchivalOrder:
    """What the archive takes, if nothing else is said."""
    return ArchivalOrder(timedelta(days=settings.archive_after), FileFormat(settings.archive_format))


def new_archival(settings: Settings, shared: Shared) -> Schedule:
    """The archive of a process that runs it again and again. It looks more often whether a run is due: another process may
    have run it, and processes end."""
    every = timedelta(seconds=settings.archive_every)
    return Schedule(
        partial(archive_when_due, shared, archival_order(settings), every),
        min(settings.archive_every, LOOK_EVERY),
        "archive",
    )


async def _check_schema(stores: Stores) -> None:
    stored, known = await stores.rows.schema_version(), version_of(TABLES)
    if stored < known:
        was = f"at version {stored}" if stored else "not there yet"
        raise SettingsError(f"the schema is {was}, this program needs version {known}: run `cohort init`")
    if stored > known:
        raise SettingsError(
            f"the schema is at version {stored}, this program knows {known}: run a newer Cohort"
        )


async def initialise(stores: Stores, on_progress: OnProgress | None = None) -> list[str]:
    """Creates what is missing and upgrades what is older, with its data; a line for each step."""
    return [
        *await stores.rows.init(TABLES),
        *await stores.events.init(TOPICS),
        *await stores.groups.init(DATA_SOURCES),
        *await stores.search.init(),
        *await stores.learner_search.init(),
        *await upgrade(Shared.of(stores), on_progress),
        *await fill_context_lists(Shared.of(stores), on_progress),
        *await fill_learner_index(Shared.of(stores), on_progress),
    ]


async def check_stores(settings: Settings) -> None:
    """StoreUnavailable, which tells of all of them, if a store is away."""
    if found := await away(settings.stores, settings.prefix, settings.data):
        raise StoreUnavailable("; ".join(f"{kind}: {why}" for kind, why in found.items()))


async def check(settings: Settings) -> None:
    """Opens everything and closes it again. It raises the errors of ``running``, those of all stores at once, and logs a
    warning for each store that is away while the gateway can do without it."""
    check_identity(settings)
    try:
        async with running(settings, tells_away=True):
            pass
    except StoreUnavailable:
        await check_stores(settings)
        raise
