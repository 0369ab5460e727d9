"""A learner's profile has changed. A trigger tells it, or an event of the topic of profiles brings it."""

import logging
from collections.abc import Sequence

from ingest.commands.learners import parse_profile, profile_write
from ingest.workers.work import Handler, Work
from ingest.writes.triggers import learner_change
from loaders.erasures import erased_learners
from loaders.session import Shared
from rules.identifiers import ProgressKey
from rules.triggers import Trigger, TriggerKind
from stores.events import Record
from stores.rows import Rows, Write
from stores.tables import ENROLMENTS, LEARNER_SCOPES
from stores.topics import LEARNER_CHANGES

log = logging.getLogger(__name__)


def read_event(work: Work, record: Record) -> None:
    """Adds a profile that came as an event. Raises InvalidInput if the event is no profile."""
    learner = parse_profile(record.value, record.appended_at)
    work.profiles.append(profile_write(learner))
    work.users[learner.user_id] = record


def _ask(work: Work, trigger: Trigger, record: Record) -> None:
    work.users[trigger.user_id] = record


async def _prepare(shared: Shared, work: Work) -> None:
    rows = shared.stores.rows
    if work.profiles:
        kept = await _not_erased(rows, work.profiles)
        work.ignored = len(work.profiles) - len(kept)
        await rows.write(*kept)
    if work.users:
        # A topic between, as the search may be away while the workers go on.
        await shared.stores.events.send(LEARNER_CHANGES.name, *map(learner_change, work.users))
        await _renew_places(rows, work)


async def _not_erased(rows: Rows, profiles: Sequence[Write]) -> list[Write]:
    """Returns the profiles without those from before their learners were erased: a late replay brings nothing back."""
    users = list({write.key[0] for write in profiles})
    erased = await erased_learners(rows, users)
    kept = [w for w in profiles if w.key[0] not in erased or w.values["updated_on"] > erased[w.key[0]]]
    if ignored := len(profiles) - len(kept):
        log.info("%d profiles are from before their learners were erased, and were ignored", ignored)
    return kept


async def _renew_places(rows: Rows, work: Work) -> None:
    """Adds all places of the learners. Their profile is in the state of each place, and of each unit there."""
    users = [(user,) for user in work.users]
    columns = ("userid", "collectionid", "contextid")
    for table in (LEARNER_SCOPES, ENROLMENTS):
        found = await rows.partitions(table, users, columns)
        for (user,), places in found.items():
            for place in places:
                key = ProgressKey(user, place["collectionid"], place["contextid"])
                work.keys.setdefault(key, work.users[user])
                work.renewed.add(key)
                work.whole.add(key)


HANDLER = Handler(TriggerKind.PROFILE, _ask, prepare=_prepare)
