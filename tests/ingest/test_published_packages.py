"""What a publish leaves in the blob store, from the icons' URLs to the package that ``downloadUrl`` leads to."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from zipfile import ZipFile

import pytest

from loaders.library import Library
from resolvers.packages import package_link
from rules.errors import NotFound
from rules.jobs import JobState
from rules.packages import PackageVariant, package_name
from rules.web_addresses import FetchRules
from tests.conftest import Instance
from tests.ingest.drafts import save_collection
from tests.ingest.publications import book, leaf, unit
from tests.ingest.test_publishing import published
from tests.stores.test_blobs_contract import names, read
from tests.stores.web_server import PNG, WebServer, answered, web_server


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web_server() as server:
        server.answers["/unit.png"] = answered(PNG)
        yield server


@pytest.fixture
async def publishing(cohort: Instance, server: WebServer) -> AsyncIterator[Instance]:
    """May fetch icons of the server."""
    rules = FetchRules((server.host,), within=5.0, private_addresses=True)
    cohort.shared = replace(cohort.shared, icon_rules=rules)
    yield cohort
    await cohort.stores.blobs.delete(*await names(cohort.stores.blobs, "packages"))


async def test_a_package_has_the_tree_that_went_live_and_the_icons_that_could_be_had(
    publishing: Instance, server: WebServer
) -> None:
    gone, there = server.url("/gone.png"), server.url("/unit.png")
    first = unit("book-1", leaf("book-a"), appIcon=there)
    await save_collection(publishing.stores.rows, {**book(), "appIcon": gone, "children": [first]})
    done = await published(publishing)
    assert (done.state, done.error) == (JobState.DONE, None)
    (icons,) = [step.checkpoint.report for step in done.steps if step.name == "icons"]
    assert (icons["stored"], icons["failed"]) == (1, {gone: "the server answered with status 404"})

    library = Library(publishing.stores.rows, publishing.stores.cache)
    live = (await library.hierarchy(await library.collection("book"))).root
    assert live["downloadUrl"] == live["variants"]["spine"]["ecarUrl"] == "/content/v1/package/book/1/spine"
    for variant in PackageVariant:
        content = await read(publishing.stores.blobs, package_name("book", 1, variant))
        assert live["variants"][variant.value]["size"] == len(content)
        with ZipFile(io.BytesIO(content)) as package:
            items = json.loads(package.read("manifest.json"))["archive"]["items"]
            tree = json.loads(package.read("hierarchy.json"))["collection"]
            named = {item["identifier"]: item.get("appIcon") for item in items}
            if variant is PackageVariant.SPINE:
                assert package.read(named["book-1"]) == PNG
            else:
                assert named["book-1"] == there
        assert (named["book"], {item["identifier"] for item in items}) == (gone, {"book", "book-1", "book-a"})
        assert (tree["status"], tree["pkgVersion"], tree["leafNodes"]) == ("Live", 1, ["book-a"])


async def test_the_packages_of_the_version_before_stay_and_older_ones_go(publishing: Instance) -> None:
    for version in (1, 2, 3):
        await save_collection(publishing.stores.rows, book(title=f"Version {version}"))
        assert (await published(publishing)).state is JobState.DONE
    left = await names(publishing.stores.blobs, "packages")
    assert {name.split("/")[2] for name in left} == {"2", "3"}
    for version in (2, 3):
        found = await package_link(publishing.shared, "book", version, PackageVariant.SPINE)
        assert f"/book_{version}_spine.ecar" in found.url
    with pytest.raises(NotFound):
        await package_link(publishing.shared, "book", 1, PackageVariant.SPINE)
