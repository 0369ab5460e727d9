"""A collection as a file, through GraphQL."""

from datetime import datetime
from urllib.parse import urlsplit

import httpx
import pytest

from ingest.publishing.package import write_package
from rules.packages import PackageVariant
from tests.conftest import COURSE, NOW, Instance
from tests.graph.conftest import data

QUERY = """query ($variant: PackageVariant) {
  collection(identifier: "course") { package(variant: $variant) { url size expiresOn } }
}"""


async def test_a_collection_links_to_the_package_of_its_live_version(course: Instance) -> None:
    session = course.session("ada")
    assert (await data(session, QUERY, variant="SPINE"))["collection"] == {"package": None}
    sizes = {
        variant.name: (await write_package(course.shared, "course", 1, COURSE, {}, variant)).size
        for variant in PackageVariant
    }
    for name, size in sizes.items():
        package = (await data(session, QUERY, variant=name))["collection"]["package"]
        assert package["size"] == size
        assert urlsplit(package["url"]).path.endswith(f"/packages/course/1/course_1_{name.lower()}.ecar")
        assert datetime.fromisoformat(package["expiresOn"]) == NOW + course.shared.link_ttl
    unsaid = await data(session, '{ collection(identifier: "course") { package { url } } }')
    assert "course_1_spine.ecar" in unsaid["collection"]["package"]["url"]


@pytest.mark.stack
@pytest.mark.parametrize("cohort", ["real"], indirect=True)
async def test_the_object_store_itself_serves_whoever_has_the_link(course: Instance) -> None:
    written = await write_package(course.shared, "course", 1, COURSE, {}, PackageVariant.SPINE)
    found = (await data(course.session("ada"), QUERY, variant="SPINE"))["collection"]["package"]
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(found["url"])
    assert (answer.status_code, len(answer.content)) == (200, written.size)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="course_1_spine.ecar"'
    await course.stores.blobs.delete(written.name)
