"""One caller's request: who asks, what the process shares, and the loaders that batch its reads."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from loaders.activity_scores import activity_scores
from loaders.answers import KEEP, TTL, Answers
from loaders.archived_questions import ArchivedQuestions
from loaders.attempts import attempt_key, attempts_of_keys
from loaders.background import Background
from loaders.change_clock import ChangeClock
from loaders.client_documents import ClientDocuments
from loaders.enrolments import enrolments_by_key, enrolments_in_places
from loaders.healing import Healing
from loaders.kept import ENTRY, MEGABYTE, Kept, texts
from loaders.learner_groups import Rosters, groups_by_id, groups_pages, memberships_within
from loaders.learners import LearnersKnown, learners_by_id, learners_of_rows
from loaders.library import Library
from loaders.metrics.costs import TableCosts
from loaders.metrics.plans import Tile
from loaders.metrics.tables import Answered, Tables
from loaders.responses import ResponseCache
from loaders.standings import Standings, Touches
from loaders.together import reads_together
from loaders.views import views_by_key
from loaders.watching import loader, watched
from loaders.whole_attempts import Questioned, whole_attempts
from loaders.written_views import WrittenViews
from rules.active_days import DayZone
from rules.attempts import Attempt
from rules.contents import Content
from rules.contexts import BUCKETS
from rules.enrolments import Enrolment
from rules.errors import CohortError
from rules.form_checks import FormLimits
from rules.identifiers import ProgressKey, ViewKey
from rules.learner_groups import Group, GroupLimits, Member, Roster
from rules.learners import Learner
from rules.plans import AggregationMode
from rules.prices import Budget
from rules.privacy import Privacy
from rules.scores import ActivityScore
from rules.standings import Standing
from rules.tracking import Tracking
from rules.viewers import Viewer
from rules.views import View
from rules.web_addresses import FetchRules
from stores.bills import Bill
from stores.engines import Stores
from stores.rows import Rows

MOST_SCOPES = 32 * MEGABYTE
"""Bytes of the places whose scopes a process remembers to have written: of some 45,000."""
if TYPE_CHECKING:
    from strawberry.dataloader import DataLoader

LINK_TTL = timedelta(hours=1)
EXHAUST_TTL = timedelta(days=7)
MOST_MEMBERSHIPS = 2_000
"""A learner is in few groups (GroupLimits); invitations, which anybody may make, are not counted there."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Shared:
    """What every session of a process has in common. Made once, in gateway/wiring.py."""

    stores: Stores
    library: Library
    healing: Healing
    background: Background
    answers: Answers
    rosters: Rosters
    responses: ResponseCache
    costs: TableCosts
    archived_questions: ArchivedQuestions
    client_documents: ClientDocuments
    now: Callable[[], datetime] = utc_now
    change_moment: ChangeClock = field(default_factory=ChangeClock)
    entered_scopes: Kept[tuple[str, str, str], None] = field(
        default_factory=lambda: Kept(MOST_SCOPES, lambda place, _: ENTRY + texts(*place))
    )
    """Learner, collection and context whose ``learner_scope`` row this process wrote, so that it does so once."""
    written_views: WrittenViews = field(default_factory=WrittenViews)
    changing: "WeakValueDictionary[ViewKey | str, asyncio.Lock]" = field(default_factory=WeakValueDictionary)
    """Views, groups by id whose members, and drafts, that calls of this process are changing: they wait for each other
    instead of failing each other."""
    group_limits: GroupLimits = field(default_factory=GroupLimits)
    form_limits: FormLimits = field(default_factory=FormLimits)
    mode: AggregationMode = AggregationMode.QUERY
    """The mode of requests that ask for none."""
    tracking: Tracking = field(default_factory=Tracking)
    link_ttl: timedelta = LINK_TTL
    """How long a link to a file for download holds."""
    exhaust_ttl: timedelta = EXHAUST_TTL
    """How long the file of an exhaust is kept."""
    public_url: str = ""
    """What the lasting links to packages begin with; without it they are paths."""
    icon_rules: FetchRules = field(default_factory=FetchRules)
    """Of which hosts a publish fetches icons."""
    day_zone: DayZone = field(default_factory=DayZone)
    """Which day a moment is in, for active days."""
    budget: Budget = field(default_factory=Budget)
    """What one request may cost."""
    context_buckets: int = BUCKETS
    """Of contexts that are created."""
    privacy: Privacy = field(default_factory=Privacy)
    """Of how few learners figures by attributes are told."""

    @classmethod
    def of(
        cls,
        stores: Stores,
        now: Callable[[], datetime] = utc_now,
        *,
        answers_ttl: float = TTL,
        answers_kept: float = KEEP,
        group_limits: GroupLimits | None = None,
        form_limits: FormLimits | None = None,
        mode: AggregationMode = AggregationMode.QUERY,
        tracking: Tracking | None = None,
        link_ttl: timedelta = LINK_TTL,
        exhaust_ttl: timedelta = EXHAUST_TTL,
        public_url: str = "",
        icon_rules: FetchRules | None = None,
        day_zone: DayZone | None = None,
        budget: Budget | None = None,
        context_buckets: int = BUCKETS,
        privacy: Privacy | None = None,
    ) -> "Shared":
        background = Background()
        library = Library(stores.rows, stores.cache)
        healing = Healing(stores.events, library, background)
        answers = Answers(stores.cache, background, now, ttl=answers_ttl, keep=answers_kept)
        limits = group_limits or GroupLimits()
        return cls(
            *(stores, library, healing, background, answers),
            *(Rosters(stores.rows), ResponseCache(answers_ttl), TableCosts(stores)),
            *(ArchivedQuestions(stores), ClientDocuments(stores.rows, stores.cache), now),
            group_limits=limits,
            form_limits=form_limits or FormLimits(),
            mode=mode,
            tracking=tracking or Tracking(),
            link_ttl=link_ttl,
            exhaust_ttl=exhaust_ttl,
            public_url=public_url,
            icon_rules=icon_rules or FetchRules(),
            day_zone=day_zone or DayZone(),
            budget=budget or Budget(),
            context_buckets=context_buckets,
            privacy=privacy or Privacy(),
        )


class Loaders:
    """The loaders of one request, each made when it is first asked for: a request needs a few of them. They are made anew after
    each command in it."""

    def __init__(self, shared: Shared, stores: Stores) -> None:
        self._shared = shared
        self._stores = stores
        self._rows = stores.rows
        reader = Standings(stores, shared.library, shared.healing, shared.now, shared.tracking)
        self._reader = reader
        self.figures_of_page = reader.figures
        """Loads many keys at once. A DataLoader would cost something for each of them."""
        self.narrow_figures = reader.narrow_figures

    @cached_property
    def standings(self) -> "DataLoader[ProgressKey, Standing | None]":
        return loader("standings", self._reader.standings)

    @cached_property
    def touches(self) -> "DataLoader[ProgressKey, Touches]":
        return loader("touches", self._reader.touches)

    @cached_property
    def views(self) -> "DataLoader[ViewKey, View | None]":
        return loader("views", partial(views_by_key, self._rows, self._shared.tracking))

    @cached_property
    def enrolments(self) -> "DataLoader[ProgressKey, Enrolment | None]":
        return loader("enrolments", partial(enrolments_by_key, self._rows))

    @cached_property
    def enrolled(self) -> "DataLoader[tuple[str, str], list[Enrolment]]":
        """Loads by learner and collection, under all contexts."""
        return loader("enrolled", partial(enrolments_in_places, self._rows))

    @cached_property
    def contents(self) -> "DataLoader[str, Content | None]":
        """Reads contents anew once in a request. The library's may be some seconds old."""
        return loader("contents", self._shared.library.current)

    @cached_property
    def learners(self) -> LearnersKnown:
        """Joins its reads by itself, so it has the rows of the process."""
        return LearnersKnown(watched("learners", partial(learners_by_id, self._shared.stores.rows)))

    @cached_property
    def learners_of_page(self) -> Callable[[list[str]], Awaitable[list[Learner | None]]]:
        """Loads many at once, whose ids are of rows, as ``figures_of_page`` does."""
        return watched("learners", partial(learners_of_rows, self._rows))

    @cached_property
    def groups(self) -> "DataLoader[str, Group | None]":
        return loader("groups", partial(groups_by_id, self._rows))

    @cached_property
    def groups_of(
        self,
    ) -> "DataLoader[tuple[str, str | None, int], tuple[list[tuple[Group, Member]], bool]]":
        """Pages of the groups that learners are in: whose, after which, and how many at most."""
        return loader("groups of", partial(groups_pages, self._rows))

    @cached_property
    def memberships(self) -> "DataLoader[str, list[tuple[Group, Member]] | None]":
        """All groups that a learner is in or invited to; None where there are more than MOST_MEMBERSHIPS."""
        return loader("memberships", partial(memberships_within, self._rows, MOST_MEMBERSHIPS))

    @cached_property
    def rosters(self) -> "DataLoader[str, Roster]":
        return loader("rosters", self._shared.rosters.load)

    @cached_property
    def attempts(self) -> "DataLoader[ViewKey, list[Attempt]]":
        """All attempts at an assessment, by where they are kept."""
        return loader("attempts", partial(attempts_of_keys, self._rows))

    @cached_property
    def questions(self) -> "DataLoader[Attempt, Questioned]":
        """The questions of a slim attempt."""
        return loader("questions", partial(_questions, self._rows, self._shared.archived_questions))

    @cached_property
    def scores(self) -> "DataLoader[ProgressKey, ActivityScore]":
        shared = self._shared
        return loader("scores", partial(activity_scores, self._rows, shared.library, shared.tracking))

    @cached_property
    def metric_tables(self) -> "DataLoader[Tile, Answered]":
        shared = self._shared
        tables = Tables(self._stores, shared.library, shared.answers, shared.costs, shared.now)
        return loader("metric tables", tables.tables)


async def _questions(
    rows: Rows, archived: ArchivedQuestions, attempts: list[Attempt]
) -> Sequence[Questioned | CohortError]:
    whole = await whole_attempts(rows, archived, attempts)
    return [whole[attempt_key(attempt)] for attempt in attempts]


@dataclass(slots=True)
class Session:
    """Given to every command and every resolver."""

    viewer: Viewer
    shared: Shared
    bill: Bill = field(init=False)
    """What the request would cost (``estimate``, known before it is executed) and what it has cost (``actual``)."""
    stores: Stores = field(init=False)
    """The process's; reads of rows that this request begins at the same moment share statements."""
    _loaders: Loaders | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.bill = Bill(self.shared.budget)
        self.stores = self.shared.stores.with_rows(reads_together(self.shared.stores.rows))

    @property
    def loaders(self) -> Loaders:
        if self._loaders is None:
            self._loaders = Loaders(self.shared, self.stores)
        return self._loaders

    def refresh(self) -> None:
        """Forgets what this request has read: a command has changed it."""
        self._loaders = None

    @property
    def library(self) -> Library:
        return self.shared.library

    def now(self) -> datetime:
        return self.shared.now()
