"""Brings pages of the existing platform's tables over, tells the workers of what was changed, and counts what is not here
yet that rows wait for."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, tzinfo

from ingest.importers.legacy.attempts import bring_attempts
from ingest.importers.legacy.backlog import Backlog
from ingest.importers.legacy.batches import bring_batches
from ingest.importers.legacy.comparison import compare, published
from ingest.importers.legacy.enrolments import bring_enrolments, take_enrolments
from ingest.importers.legacy.report import TableReport, count
from ingest.importers.legacy.scores import compare_scores
from ingest.importers.legacy.source import Platform
from ingest.importers.legacy.views import bring_views
from ingest.importers.legacy.writing import Migrating
from ingest.writes.triggers import trigger_of
from loaders.session import Shared
from rules.identifiers import ProgressKey
from rules.legacy.enrolments import has_no_date
from rules.legacy.tables import ASSESSMENTS, BATCHES, CONSUMPTION, ENROLMENTS, FIGURES, LegacyRow
from rules.moments import microseconds
from rules.triggers import TriggerKind
from stores.topics import TRIGGERS


class Bringing:
    """Brings pages over.

    - ``zone``: of times there that name no offset.
    - ``since``: rows that nobody there has changed since are counted, and not looked at.
    - ``dry_run``, ``brought_before``, ``contexts``: as in Migrating.
    - ``backlog``: the triggers that wait; one for all pages of a process.
    """

    def __init__(
        self,
        shared: Shared,
        platform: Platform,
        *,
        zone: tzinfo,
        since: datetime | None = None,
        dry_run: bool = False,
        brought_before: bool = True,
        contexts: Set[str] = frozenset(),
        backlog: Backlog | None = None,
    ) -> None:
        self._shared = shared
        self._platform = platform
        self._zone = zone
        self._since = None if since is None else microseconds(since)
        self._dry_run = dry_run
        self._brought_before = brought_before
        self._contexts = contexts
        self._batches: dict[tuple[str, str], bool] = {}
        self._backlog = backlog or Backlog(shared.stores.events)

    async def bring(self, table: str, rows: Sequence[LegacyRow], *, again: bool = False) -> TableReport:
        """Brings a page of a table over, and returns what became of its rows.

        ``again``: it is not known whether the writes of this page were announced before, so all of it is announced.
        """
        report = TableReport(table)
        changed = [row for row in rows if self._is_changed(table, row)]
        report.read = report.older = len(rows) - len(changed)
        if not changed:
            return report
        migrating = self._migrating()
        touched: Mapping[ProgressKey, bool] = {}
        if table == BATCHES:
            await bring_batches(migrating, changed, report)
        elif table == CONSUMPTION:
            touched = await bring_views(migrating, changed, report)
        elif table == ENROLMENTS:
            touched = await bring_enrolments(migrating, self._platform, changed, report)
        elif table == ASSESSMENTS:
            touched = await bring_attempts(migrating, changed, report)
        else:
            await compare_scores(migrating, self._platform, changed, report)
        await self._announce(migrating, touched, report, again=again)
        if table != FIGURES:
            await self._note_what_is_missing(migrating, changed, report)
        return report

    async def compare(self, rows: Sequence[LegacyRow]) -> TableReport:
        """Compares what the platform shows of these enrolments with what Cohort shows. Returns the comparison alone."""
        migrating, report = self._migrating(), TableReport(ENROLMENTS)
        # In a report of its own: these rows were counted when they were brought.
        enrolments, _ = await take_enrolments(migrating, self._platform, rows, TableReport(ENROLMENTS))
        await compare(migrating, self._platform, enrolments, report)
        return report

    def _migrating(self) -> Migrating:
        return Migrating(
            self._shared,
            self._shared.now(),
            self._dry_run,
            self._zone,
            self._brought_before,
            self._contexts,
        )

    def _is_changed(self, table: str, row: LegacyRow) -> bool:
        """False if nobody there has changed the row since, nor its context. A row whose time of writing is not known is
        taken for changed, and so is an enrolment without a date, which follows from other rows."""
        if row.get("context_id") in self._contexts or (table == ENROLMENTS and has_no_date(row)):
            return True
        written_at: int | None = row.get("written_at")
        return self._since is None or written_at is None or written_at >= self._since

    async def _announce(
        self,
        migrating: Migrating,
        touched: Mapping[ProgressKey, bool],
        report: TableReport,
        *,
        again: bool,
    ) -> None:
        """Sends triggers of what was changed, itself or its context. If a page is brought ``again``, sends them for all of
        it.

        Only keys that the workers can compute get a trigger.
        """
        changed = [
            key
            for key, has_changed in touched.items()
            if again or has_changed or key.context_id in self._contexts
        ]
        keys = await self._computable(migrating, changed)
        report.triggers += len(keys)
        if keys and not migrating.dry_run:
            messages = [trigger_of(TriggerKind.RECONCILE, key) for key in keys]
            await self._shared.stores.events.send(TRIGGERS.name, *messages)
            await self._backlog.wait()

    async def _computable(self, migrating: Migrating, keys: Sequence[ProgressKey]) -> list[ProgressKey]:
        """Returns the keys that the workers can compute.

        A content by itself has no figures. But if views are kept by content, the figures of collections follow from it.
        """
        library, by_content = self._shared.library, self._shared.tracking.keeps_by_content
        collection_ids = list({key.collection_id for key in keys})
        trees, contents, places = await asyncio.gather(
            published(migrating, collection_ids),
            library.published(collection_ids),
            self._known({(key.collection_id, key.context_id) for key in keys if key.has_context}),
        )

        def is_computable(key: ProgressKey) -> bool:
            if key.collection_id not in trees:
                return by_content and not key.has_context and key.collection_id in contents
            return not key.has_context or (key.collection_id, key.context_id) in places

        return [key for key in keys if is_computable(key)]

    async def _known(self, places: Set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Returns those of these collections and contexts whose context is here. In a dry run it may also be one that
        would be here."""
        found = await self._shared.library.contexts.load_many(list({context_id for _, context_id in places}))
        known = {
            (collection_id, context.context_id)
            for context in found
            if context is not None
            for collection_id in context.collection_ids
        }
        for place in places - known if self._dry_run else ():
            if place not in self._batches:
                rows = await self._platform.rows(BATCHES, collection_id=place[0], context_id=place[1])
                self._batches[place] = bool(rows)
            if self._batches[place]:
                known.add(place)
        return known & places

    async def _note_what_is_missing(
        self, migrating: Migrating, rows: Sequence[LegacyRow], report: TableReport
    ) -> None:
        """Notes rows of collections and contexts that are not here. The rows wait for them."""
        places = Counter(
            (row["collection_id"], row["context_id"] or row["collection_id"])
            for row in rows
            if row["collection_id"] and row["collection_id"] != row.get("content_id")
        )
        trees, known = await asyncio.gather(
            published(migrating, list({collection_id for collection_id, _ in places})),
            self._known({place for place in places if place[0] != place[1]}),
        )
        for (collection_id, context_id), number in places.items():
            if collection_id not in trees:
                count(report.unpublished, collection_id, number)
            if context_id != collection_id and (collection_id, context_id) not in known:
                count(report.unknown_contexts, context_id, number)
