"""A publish as a job: from a draft, or from a live tree that loses leaves, to the next live version (R-COLL-5).

``validate`` freezes what it reads; each later step follows from that and from the arguments alone. So a step may be done
again, in another process too, and ends the same. Readers see nothing of it before ``pointer``, and all of it after.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

import orjson

from ingest.jobs.plans import Checkpoint, JobKind
from ingest.jobs.records import JobRecord
from ingest.jobs.runner import Jobs
from ingest.publishing.direct import digest_of
from ingest.publishing.icons import fetch_icons
from ingest.publishing.learners import recompute_learners
from ingest.publishing.package import drop_packages, write_package
from ingest.publishing.search_sync import sync_search_patiently
from ingest.publishing.sources import draft_source, live_source
from ingest.publishing.staging import Staged, Staging
from ingest.publishing.versions import (
    claim_version,
    contents_of,
    drop_older,
    flip_pointer,
    own_version,
    retire_version,
    tree_nodes,
    write_contents,
    write_relations,
    write_trees,
)
from loaders.session import Shared
from rules.contents import RETIRED, ContentKind, Metadata
from rules.drafts import DraftStatus
from rules.errors import StoreUnavailable
from rules.hierarchy import Hierarchy, RelationTree, is_collection, relations_of
from rules.jobs import JobState
from rules.packages import PackageVariant, icon_urls, package_url
from rules.publication import (
    Release,
    collections_in,
    next_package_version,
    platform_moment,
    released,
)
from stores.rows import Equal, Row
from stores.tables import CONTENTS, DRAFTS

log = logging.getLogger(__name__)

STEPS = (
    *("validate", "collect", "icons", "status", "package", "hierarchy"),
    *("relations", "contents", "pointer", "search", "caches", "learners"),
)
OF_A_CONTENT = ("validate", "status", "hierarchy", "relations", "pointer", "search", "caches")
"""The steps of a content without a tree below it."""

NODES_AT_ONCE = 2_000
"""Nodes whose rows are written between two checkpoints."""
TREES_AT_ONCE = 200
"""Trees that are written between two checkpoints. An inner tree repeats what is in those above it."""
MOST_NAMED, LONGEST_URL = 20, 300
"""Ids or URLs that a report names, and characters of a URL. Of more it says how many."""


@dataclass(frozen=True, slots=True)
class PublishOrder:
    """The arguments of the job: what is to be published, and all that its outcome depends on beside the draft.

    - ``version_key``: the only draft that may be published; None for the one that there is.
    - ``without``: leaves that the live tree is to lose. If there are none, the draft is published.
    - ``public_url``: where clients reach the gateway, in the URLs of packages.
    """

    job: str
    identifier: str
    kind: ContentKind
    unlisted: bool
    by: str | None
    at: datetime
    public_url: str
    version_key: str | None = None
    without: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        return asdict(self) | {
            "kind": self.kind.value,
            "at": self.at.isoformat(),
            "without": list(self.without),
        }

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **arguments,
                "kind": ContentKind(arguments["kind"]),
                "at": datetime.fromisoformat(arguments["at"]),
                "without": tuple(arguments["without"]),
            }
        )

    @property
    def status(self) -> DraftStatus:
        return DraftStatus.UNLISTED if self.unlisted else DraftStatus.LIVE

    @property
    def steps(self) -> Sequence[str]:
        return OF_A_CONTENT if self.kind is ContentKind.CONTENT else STEPS


def steps_of(arguments: Mapping[str, Any]) -> Sequence[str]:
    """Returns the steps of the job with these arguments."""
    return PublishOrder.of(arguments).steps


def nodes_of_steps(job: JobRecord) -> dict[str, int]:
    """Returns how many nodes each step writes that writes them in portions, once that is known."""
    done = {step.name: step.checkpoint.done for step in job.steps if step.state is JobState.DONE}
    if not {"validate", "collect"} <= done.keys():
        return {}
    nodes = done["validate"]
    return {"hierarchy": done["collect"] + 1, "relations": nodes, "contents": nodes - 1}


Checkpoints = AsyncIterator[Checkpoint]


class _Publish:
    """The plan of one publish. What it keeps in memory between its steps, it can make again from what is frozen."""

    def __init__(self, shared: Shared, arguments: Mapping[str, Any]) -> None:
        self._shared = shared
        self._rows = shared.stores.rows
        self._order = PublishOrder.of(arguments)
        self._staging = Staging(self._rows, self._order.identifier, self._order.job)
        self._reports: Mapping[str, Mapping[str, Any]] = {}
        self._published: Hierarchy | None = None
        self._sizes: Mapping[PackageVariant, int] = {}
        self._relations: RelationTree | None = None

    def steps(self) -> Sequence[str]:
        return self._order.steps

    async def run(self, step: str, start: Checkpoint) -> Checkpoints:
        job = await Jobs(self._shared).get(PUBLISHING.name, self._order.job)
        self._reports = {step.name: step.checkpoint.report for step in job.steps}
        if step != "validate" and self._frozen["version"] is None:
            yield Checkpoint(None, 0)  # there is nothing to publish
            return
        async for checkpoint in self._STEPS[step](self, start):
            yield checkpoint

    # --- before anything is written that readers could meet

    async def _validate(self, _: Checkpoint) -> Checkpoints:
        order = self._order
        stored = await self._rows.get(
            CONTENTS, (order.identifier,), ("identifier", "root", "live_version", "name", "metadata")
        )
        before = own_version(stored)
        source = (
            await live_source(self._shared, order.identifier, order.without)
            if order.without
            else await draft_source(self._shared, order.identifier, order.version_key)
        )
        if source is None:
            yield Checkpoint(None, 0, {"version": None, "before": before})
            return
        version = await claim_version(self._rows, order.identifier, before, order.job)
        await self._staging.write(Staged.TREE, source.tree)
        hierarchy = Hierarchy(source.tree, version)
        yield Checkpoint(
            None,
            len(hierarchy.nodes),
            {
                "version": version,
                "before": before,
                "pkgVersion": next_package_version(version, source.tree, _metadata(stored)),
                "renamed": stored is not None and stored["name"] != source.tree["name"],
                "versionKey": source.version_key,
                "retired": source.retired[:MOST_NAMED],
                "retiredCount": len(source.retired),
            },
        )

    async def _collect(self, _: Checkpoint) -> Checkpoints:
        tree = await self._staging.read(Staged.TREE)
        collections = {node["identifier"] for node in collections_in(tree)} - {self._order.identifier}
        yield Checkpoint(
            None, len(collections), {"collections": len(collections), "icons": len(icon_urls(tree))}
        )

    async def _fetch_icons(self, _: Checkpoint) -> Checkpoints:
        version = self._frozen["version"]
        urls = icon_urls(await self._staging.read(Staged.TREE))
        icons = await fetch_icons(self._shared, urls, self._order.identifier, version)
        await self._staging.write(Staged.ICONS, dict(icons.stored))
        report = {
            "stored": len(icons.stored),
            "failed": {url[:LONGEST_URL]: why for url, why in [*icons.failed.items()][:MOST_NAMED]},
            "failedCount": len(icons.failed),
        }
        yield Checkpoint(None, len(icons.stored), report)

    async def _status(self, _: Checkpoint) -> Checkpoints:
        live = await self._live()
        root, units = live.root, sum(1 for node in live.nodes.values() if is_collection(node)) - 1
        report = {"status": root["status"], "units": max(0, units)}
        if "leafNodesCount" in root:
            report["leafNodesCount"] = root["leafNodesCount"]
        yield Checkpoint(None, len(live.nodes), report)

    async def _package(self, start: Checkpoint) -> Checkpoints:
        report = dict(start.report)
        icons = await self._staging.read(Staged.ICONS)
        live = await self._live()
        for variant in PackageVariant:
            if variant.value in report:
                continue
            file = await write_package(self._shared, live.identifier, live.version, live.root, icons, variant)
            report[variant.value] = {"name": file.name, "size": file.size}
            yield Checkpoint(
                variant.value if len(report) < len(PackageVariant) else None, len(report), report
            )

    # --- the version's rows, which no reader is led to yet

    async def _hierarchy(self, start: Checkpoint) -> Checkpoints:
        live = await self._live()

        async def write(nodes: Sequence[str]) -> None:
            await write_trees(self._rows, live, nodes)

        async for checkpoint in _in_portions(tree_nodes(live), TREES_AT_ONCE, start, write):
            yield checkpoint

    async def _write_relations(self, start: Checkpoint) -> Checkpoints:
        live, relations = await self._live(), await self._live_relations()

        async def write(nodes: Sequence[str]) -> None:
            await write_relations(self._rows, relations, nodes)

        async for checkpoint in _in_portions(list(live.nodes), NODES_AT_ONCE, start, write):
            yield checkpoint

    async def _contents(self, start: Checkpoint) -> Checkpoints:
        live, relations = await self._live(), await self._live_relations()

        async def write(nodes: Sequence[str]) -> None:
            await write_contents(self._rows, live, contents_of(live, relations, nodes, self._order.at))

        async for checkpoint in _in_portions(list(live.nodes)[1:], NODES_AT_ONCE, start, write):
            yield checkpoint

    # --- the version goes live

    async def _pointer(self, _: Checkpoint) -> Checkpoints:
        frozen, live, relations = self._frozen, await self._live(), await self._live_relations()
        (content,) = contents_of(live, relations, [live.identifier], self._order.at)
        digest = await asyncio.to_thread(digest_of, live.root)
        if await self._is_retired():
            content = replace(content, status=RETIRED)
        await flip_pointer(self._rows, content, live.root, frozen["before"], digest)
        if await self._is_retired():  # perhaps just now, by a call that did not see this version
            await retire_version(self._rows, live.identifier, live.version)
        for node in live.nodes:
            self._shared.library.contents.forget(node)
        if not self._order.without:
            # An edit that was made meanwhile has another version key, and stays a draft.
            unchanged = [Equal("version_key", frozen["versionKey"])]
            status = {"status": self._order.status.value}
            await self._rows.update_if(DRAFTS, (live.identifier,), status, unchanged)
        yield Checkpoint(None, 1, {"version": live.version})

    async def _is_retired(self) -> bool:
        """Whether what is being published was retired, before or meanwhile. Nothing makes it live again."""
        rows = await asyncio.gather(
            *(
                self._rows.get(table, (self._order.identifier,), ("identifier", "status"))
                for table in (DRAFTS, CONTENTS)
            )
        )
        return any(row is not None and row["status"] == RETIRED for row in rows)

    async def _search(self, _: Checkpoint) -> Checkpoints:
        identifier = self._order.identifier
        try:
            report = asdict(await sync_search_patiently(self._shared, identifier))
        except StoreUnavailable as error:
            # Learners have the version, and need no search: what is left to do for them does not wait, nor do others.
            log.warning(
                "%s is live, but not in the search: %s; `cohort search check --repair`", identifier, error
            )
            report = {"away": True}
        yield Checkpoint(None, 1, report)

    async def _caches(self, start: Checkpoint) -> Checkpoints:
        if start.resume is None:
            live, before = await self._live(), self._frozen["before"]
            dropped = await drop_older(self._rows, live, before)
            await self._shared.library.drop_cached_trees(live.identifier, dropped, tree_nodes(live))
            await drop_packages(self._shared, live.identifier, live.version, before)
            yield Checkpoint("frozen", 1)
        # From here on no step needs what was frozen.
        await self._staging.delete()
        yield Checkpoint(None, 2)

    async def _learners(self, start: Checkpoint) -> Checkpoints:
        before, version = self._frozen["before"], self._frozen["version"]
        telling = recompute_learners(self._shared, self._order.identifier, before, version, start)
        async for checkpoint in telling:
            yield replace(checkpoint, report={"recomputed": checkpoint.done})

    # --- what follows from what is frozen

    @property
    def _frozen(self) -> Mapping[str, Any]:
        return self._reports["validate"]

    async def _live(self) -> Hierarchy:
        """Returns the tree as it goes live; once all packages are written, with their sizes."""
        packages = self._reports.get("package", {})
        sizes = {each: packages[each.value]["size"] for each in PackageVariant if each.value in packages}
        sizes = sizes if len(sizes) == len(PackageVariant) else {}
        if self._published is None or self._sizes != sizes:
            release = self._release(sizes)
            root = await asyncio.to_thread(released, await self._staging.read(Staged.TREE), release)
            self._published, self._sizes = Hierarchy(root, self._frozen["version"]), sizes
        return self._published

    def _release(self, sizes: Mapping[PackageVariant, int]) -> Release:
        order, version = self._order, self._frozen["version"]
        return Release(
            package_version=self._frozen["pkgVersion"],
            status=order.status.value,
            published_on=platform_moment(order.at),
            published_by=order.by,
            version_key=self._frozen["versionKey"],
            package_urls={
                variant: package_url(order.public_url, order.identifier, version, variant)
                for variant in PackageVariant
            },
            sizes=sizes,
        )

    async def _live_relations(self) -> RelationTree:
        if self._relations is None:
            identifier, before = self._order.identifier, self._frozen["before"]
            live = None if before is None else await self._shared.library.relations.load((identifier, before))
            relations = await asyncio.to_thread(relations_of, await self._live())
            self._relations = relations.following(live, renamed=self._frozen["renamed"])
        return self._relations

    _STEPS: Mapping[str, Callable[["_Publish", Checkpoint], Checkpoints]] = {
        "validate": _validate,
        "collect": _collect,
        "icons": _fetch_icons,
        "status": _status,
        "package": _package,
        "hierarchy": _hierarchy,
        "relations": _write_relations,
        "contents": _contents,
        "pointer": _pointer,
        "search": _search,
        "caches": _caches,
        "learners": _learners,
    }


def _metadata(stored: Row | None) -> Metadata:
    """Returns what was published of the content before."""
    text = None if stored is None else stored["metadata"]
    return {} if text is None else orjson.loads(text)


async def _in_portions(
    nodes: Sequence[str], size: int, start: Checkpoint, write: Callable[[Sequence[str]], Awaitable[None]]
) -> Checkpoints:
    """Writes these nodes from where the step stopped, ``size`` of them to a checkpoint."""
    done = int(start.resume or 0)
    while done < len(nodes):
        await write(nodes[done : done + size])
        done = min(done + size, len(nodes))
        yield Checkpoint(str(done) if done < len(nodes) else None, done, {"written": done})
    if not nodes:
        yield Checkpoint(None, 0, {"written": 0})


PUBLISHING = JobKind("publish", _Publish)
