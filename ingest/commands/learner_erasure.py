"""Deletes all that a learner has.

It goes in this order, so that the next call finishes one that died anywhere:

1. The list: every entry of the learner's list of scopes is written again, and every enrolment gets one, so that no
   taker of attempts takes them away. Then the watermark: from now on older calls and profiles are refused
   (loaders/erasures.py).
2. The list again, as what was under way may have come into it. Step 3 goes by this list.
3. Page after page of that list: views, attempts (those in files of the archive first), enrolments, the exhausts of
   these contexts, then triggers, then the entries themselves.
4. Groups, profile, files for download, finished jobs.
5. A last trigger.

The workers delete what they write: the triggers of 3 tell them to (ingest/workers/tombstones.py). By the trigger of 5
they make the log and the rows' files forget what is left (ingest/workers/handlers/forgetting.py). Nothing is read
whole.
"""

import re
from collections.abc import AsyncIterator, Mapping, Set

import orjson

from ingest.commands.erased_rows import ErasedRows, Place
from ingest.commands.exhaust_files import delete_exhausts
from ingest.commands.exports import delete_exports
from ingest.commands.group_members import erase_membership
from ingest.writes.all_ended import all_ended
from loaders.enrolments import row_key
from loaders.erasures import EVERYWHERE
from loaders.session import Shared
from rules.identifiers import ProgressKey, scope_of
from rules.jobs import ITSELF, JobState
from rules.moments import microseconds
from stores.rows import Equal, Row, Rows, Write
from stores.tables import (
    CONTEXTS_OF_PEOPLE,
    ENROLMENTS,
    GROUP_MEMBERS,
    JOBS,
    LEARNER_GROUPS,
    LEARNER_SCOPES,
    LEARNERS,
    USER_GROUPS,
)

STEPS = ("watermark", "list", "places", "groups", "profile", "exports", "jobs", "end")
AT_ONCE = 8
"""Partitions of views that are emptied at the same time."""
_PLACE = ("collectionid", "contextid")


class LearnerErasure:
    """The erasure of one learner. ``purged`` holds the places where there was something."""

    def __init__(self, shared: Shared, erased: ErasedRows) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._user_id = erased.user_id
        self._erased = erased
        self.purged: dict[Place, None] = {}

    async def erase(self) -> None:
        for name in STEPS:
            async for _ in self.run_step(name):
                pass

    async def run_step(self, name: str) -> AsyncIterator[Mapping[str, int]]:
        """Runs the step. Gives, again and again, what it has deleted since the last time, by kind."""
        match name:
            case "watermark":
                await self._list_places()
                await self._erased.raise_watermark(EVERYWHERE)
            case "list":
                await self._list_places()
            case "places":
                async for counted in self._erase_places():
                    yield counted
            case "groups":
                async for counted in self._leave_groups():
                    yield counted
            case "profile":
                await self._erase_profile()
            case "exports":
                await delete_exports(self._shared.stores.blobs, self._user_id)
            case "jobs":
                await forget_jobs(self._rows, self._user_id)
            case "end":
                await self._erased.forget()

    async def _list_places(self) -> None:
        """Lists anew what is listed, and every enrolment. A place without an enrolment has nothing but its entry to be found by, and a
        deleted enrolment nothing else until its trigger is out."""
        at = self._erased.listed_on
        async for page in self._erased.pages(LEARNER_SCOPES, (self._user_id,)):
            await self._list({_place(row): row["scope"] for row in page}, at - 1)
        async for page in self._erased.pages(ENROLMENTS, (self._user_id,), columns=_PLACE):
            await self._list({_place(row): scope_of(row["collectionid"]) for row in page}, at)

    async def _list(self, scopes: Mapping[Place, str | None], at: int) -> None:
        await self._rows.write(
            *(
                Write(LEARNER_SCOPES, (self._user_id, *place), {"scope": scope}, at)
                for place, scope in scopes.items()
            )
        )

    async def _erase_places(self) -> AsyncIterator[Mapping[str, int]]:
        async for page in self._erased.pages(LEARNER_SCOPES, (self._user_id,)):
            keys = [ProgressKey(self._user_id, row["collectionid"], row["contextid"]) for row in page]
            scopes = {row["scope"] or scope_of(row["collectionid"]) for row in page}
            views = await self._erase_scopes(scopes)
            contexts: dict[str, list[str]] = {}
            for key in keys:
                contexts.setdefault(key.collection_id, []).append(key.context_id)
            for collection_id in sorted(contexts):
                await self._erased.delete_attempts(collection_id, (), contexts[collection_id])
            await self._erased.delete_enrolments(keys)
            await delete_exhausts(self._shared, {key.context_id for key in keys})
            await self._erased.tell_workers(keys)
            self.purged |= {_place(row): None for row in page if row["scope"] in (None, row["collectionid"])}
            await self._rows.write(*(self._erased.deletion(LEARNER_SCOPES, row_key(key)) for key in keys))
            yield {"places": len(keys), "views": views}

    async def _erase_scopes(self, scopes: Set[str]) -> int:
        """Empties these scopes and returns how many views there were. If one fails, the others come to their end."""
        erase = self._erased.delete_views
        return sum(await all_ended((erase((self._user_id, scope), ()) for scope in sorted(scopes)), AT_ONCE))

    async def _leave_groups(self) -> AsyncIterator[Mapping[str, int]]:
        async for page in self._erased.pages(USER_GROUPS, (self._user_id,)):
            for row in page:
                listed = row["members_version"] or 0
                await erase_membership(self._shared, row["groupid"], self._user_id, listed)
                await self._unname(row["groupid"])
            yield {"groups": len(page)}

    async def _unname(self, group_id: str) -> None:
        """Clears the learner's id from the row of a group that they were in, and from the rows of its members."""
        columns = ("created_by", "updated_by", "removed_by")
        for table, rows in (
            (LEARNER_GROUPS, [await self._rows.get(LEARNER_GROUPS, (group_id,), ("groupid", *columns[:2]))]),
            (
                GROUP_MEMBERS,
                await self._rows.partition(GROUP_MEMBERS, (group_id,), columns=("userid", *columns)),
            ),
        ):
            for row in rows:
                named = [column for column in columns if row and row.get(column) == self._user_id]
                if row and named:
                    key = (group_id, row["userid"]) if table is GROUP_MEMBERS else (group_id,)
                    still = [Equal(column, self._user_id) for column in named]
                    await self._rows.update_if(table, key, dict.fromkeys(named), still)

    async def _erase_profile(self) -> None:
        """Deletes the profile at its own time, or at the erasure's if that is later, so that what is older stays hidden and
        what is newer does not. Then the list of the contexts that the learner mentors or created."""
        stored = await self._rows.get(LEARNERS, (self._user_id,), ["updated_on"])
        if stored is not None:
            at = max(self._erased.erased_on, stored["updated_on"] or self._erased.erased_on)
            await self._rows.write(Write(LEARNERS, (self._user_id,), {}, microseconds(at), delete=True))
        async for page in self._erased.pages(CONTEXTS_OF_PEOPLE, (self._user_id,)):
            keys = [tuple(row[name] for name in CONTEXTS_OF_PEOPLE.key) for row in page]
            await self._rows.write(*(self._erased.deletion(CONTEXTS_OF_PEOPLE, key) for key in keys))


def _place(row: Row) -> Place:
    return row["collectionid"], row["contextid"]


async def forget_jobs(rows: Rows, name: str) -> int:
    """Deletes jobs whose rows contain this name of somebody, except running ones. Returns how many there were."""
    named = re.compile(rf'["\s]{re.escape(orjson.dumps(name).decode()[1:-1])}["\s]')
    found: dict[tuple[str, str], list[Row]] = {}
    for token_range in rows.ranges(1):
        async for page in rows.walk(JOBS, token_range):
            for row in page.rows:
                found.setdefault((row["kind"], row["id"]), []).append(row)
    gone = 0
    for (kind, job_id), of_job in found.items():
        state = next((row["state"] for row in of_job if row["step"] == ITSELF), None)
        texts = [
            row[column] or "" for row in of_job for column in ("arguments", "checkpoint", "report", "error")
        ]
        if state == JobState.RUNNING.value or not any(named.search(f'"{text}"') for text in texts):
            continue
        steps = [row["step"] for row in of_job if row["step"] != ITSELF]
        await rows.write(*(Write(JOBS, (kind, job_id, step), {}, delete=True) for step in steps))
        await rows.delete_if(JOBS, (kind, job_id, ITSELF), [Equal("state", state)])
        gone += 1
    return gone
