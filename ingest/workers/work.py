"""What a batch of records asks the workers for, and what a handler is."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from loaders.session import Shared
from rules.active_days import NO_DAYS, DayZone
from rules.identifiers import ProgressKey
from rules.moments import moment
from rules.triggers import Trigger, TriggerKind
from stores.events import Message, Record
from stores.rows import Write


@dataclass(slots=True)
class Assessed:
    """The assessments of a place whose scores are to be computed. ``contents`` of None means any of them. ``record`` is
    the last one that asks for it."""

    record: Record
    contents: set[str] | None


@dataclass(slots=True)
class Work:
    """What the records of one batch ask for. Handlers fill it.

    - ``keys`` are recomputed. Each has the last record that asks for it. The next eight hold some of these keys.
    - ``named``: a trigger names the key itself.
    - ``renewed``: a profile asks for the key.
    - ``whole``: all units of the key are looked at.
    - ``erased``: rows of the key were deleted.
    - ``enrolled``: the enrolment there began or ended, or is to be looked at again.
    - ``viewed``: the contents that were viewed of a key. None means any of them.
    - ``active``: when the learner did something there, as triggers tell it.
    - ``brought``: active days that came along with a move.
    - ``again``: all active days of the key are sent again.
    - ``assessed``: places where attempts are kept whose scores may have changed. They need not be among ``keys``.
    - ``users`` have a changed profile. Each has its last record.
    - ``profiles`` are to be written. ``ignored`` counts those that were not.
    - ``forgotten``: erasures that came to their end.
    - ``dead``: records that can't be processed.
    """

    keys: dict[ProgressKey, Record] = field(default_factory=dict)
    named: set[ProgressKey] = field(default_factory=set)
    renewed: set[ProgressKey] = field(default_factory=set)
    whole: set[ProgressKey] = field(default_factory=set)
    erased: set[ProgressKey] = field(default_factory=set)
    enrolled: set[ProgressKey] = field(default_factory=set)
    viewed: dict[ProgressKey, set[str] | None] = field(default_factory=dict)
    active: dict[ProgressKey, set[datetime]] = field(default_factory=dict)
    brought: dict[ProgressKey, frozenset[int]] = field(default_factory=dict)
    again: set[ProgressKey] = field(default_factory=set)
    assessed: dict[ProgressKey, Assessed] = field(default_factory=dict)
    users: dict[str, Record] = field(default_factory=dict)
    profiles: list[Write] = field(default_factory=list)
    ignored: int = 0
    forgotten: list[Trigger] = field(default_factory=list)
    dead: list[Message] = field(default_factory=list)

    def recompute(self, trigger: Trigger, record: Record) -> ProgressKey:
        """Adds the key that the trigger names, and returns it."""
        key = trigger.progress_key
        assert key is not None  # noqa: S101 - parse_trigger refuses these kinds without a collection and a context
        self.keys[key] = record
        self.named.add(key)
        if trigger.at:
            self.active.setdefault(key, set()).update(map(moment, trigger.at))
        if trigger.again:
            self.again.add(key)
        return key

    def follow(self, sources: Mapping[ProgressKey, ProgressKey], *, carried: bool) -> None:
        """Adds keys that no trigger names. Each gets the record of the key that it follows from. If views are ``carried``,
        what was done there counts here, and so do its moments."""
        for key, source in sources.items():
            self.keys.setdefault(key, self.keys[source])
            if carried and (moments := self.active.get(source)):
                self.active.setdefault(key, set()).update(moments)

    def days(self, zone: DayZone, key: ProgressKey, erased_on: datetime | None) -> frozenset[int]:
        """Returns the days on which the learner was active there, as far as no row tells them. None of before an erasure."""
        moments = self.active.get(key, ())
        if erased_on is not None:
            return zone.days_of(at for at in moments if at > erased_on)
        return zone.days_of(moments) | self.brought.get(key, NO_DAYS)

    def view(self, key: ProgressKey, content_id: str | None) -> None:
        """Adds a content that was viewed. None means any content of the key."""
        contents = self.viewed.setdefault(key, set())
        if contents is None or content_id is None:
            self.viewed[key] = None
        else:
            contents.add(content_id)

    def assess(self, key: ProgressKey, content_id: str | None, record: Record) -> None:
        """Adds an assessment whose attempts may have changed. None means any of the key."""
        asked = self.assessed.setdefault(key, Assessed(record, set()))
        asked.record = record
        if asked.contents is None or content_id is None:
            asked.contents = None
        else:
            asked.contents.add(content_id)


Step = Callable[[Shared, Work], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handler:
    """What the workers do about one kind of trigger.

    - ``ask`` adds to the work of the batch what one trigger asks for.
    - ``prepare`` runs once a batch, before keys are recomputed.
    - ``finish`` runs once a batch, after everything else and before the records are committed.
    """

    kind: TriggerKind
    ask: Callable[[Work, Trigger, Record], None]
    prepare: Step | None = None
    finish: Step | None = None
