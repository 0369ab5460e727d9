"""What a request costs the stores does not depend on how much a page shows."""

from collections import Counter

from loaders.session import Session
from rules.viewers import Role, Viewer
from tests.conftest import LEAF, Instance
from tests.graph.conftest import data, document, record


def course_of(units: int, leaves: int, identifier: str = "big") -> dict[str, object]:
    return {
        "identifier": identifier,
        "name": "Big",
        "children": [
            {
                "identifier": f"{identifier}-{unit}",
                "name": f"Unit {unit}",
                "children": [
                    {"identifier": f"{identifier}-{unit}-{leaf}", "name": "L", "mimeType": LEAF}
                    for leaf in range(leaves)
                ],
            }
            for unit in range(units)
        ],
    }


async def page_cost(instance: Instance, units: int, leaves: int) -> tuple[Counter[str], Counter[str]]:
    """Statements to the rows and round trips to the cache of one course page, nothing being warm."""
    name = f"big-{units}x{leaves}"
    await instance.publish(course_of(units, leaves, name))
    await instance.batch(f"batch-{name}", name)
    place = {"collectionId": name, "contextId": f"batch-{name}"}
    for unit in range(units):
        await record(instance.session("ann"), "Start", contentId=f"{name}-{unit}-0", **place)
    shared = type(instance.shared).of(instance.stores, instance.shared.now)
    session = Session(Viewer("ann", frozenset({Role.LEARNER})), shared)
    with instance.stores.rows.meter.measure() as rows, instance.stores.cache.meter.measure() as cache:
        page = await data(session, document("course_page"), collection=name, context=place["contextId"])
    shown = [leaf for unit in page["collection"]["children"] for leaf in unit["children"]]
    assert [leaf["view"]["status"] for leaf in shown] == (
        ["IN_PROGRESS", *["NOT_STARTED"] * (leaves - 1)] * units
    )
    return rows, cache


async def test_a_course_page_of_200_leaves_costs_what_one_of_2_does(embedded: Instance) -> None:
    small, large = await page_cost(embedded, 1, 2), await page_cost(embedded, 5, 40)
    assert small == large
    assert sum(small[0].values()) <= 7, small


async def list_cost(instance: Instance, user: str, count: int) -> Counter[str]:
    for number in range(count):
        await instance.batch(f"{user}-{number}", f"list-{number}")
        await record(
            instance.session(user), "Enrol", collectionId=f"list-{number}", contextId=f"{user}-{number}"
        )
    shared = type(instance.shared).of(instance.stores, instance.shared.now)
    session = Session(Viewer(user, frozenset({Role.LEARNER})), shared)
    with instance.stores.rows.meter.measure() as rows:
        me = (await data(session, document("my_courses"), first=100))["me"]
    assert len(me["enrolments"]["edges"]) == count
    assert all(edge["node"]["collection"]["name"] == "Big" for edge in me["enrolments"]["edges"])
    return rows


async def test_a_list_of_100_enrolments_costs_what_one_of_2_does(embedded: Instance) -> None:
    for number in range(100):
        await embedded.publish(course_of(1, 1, f"list-{number}"))
    small, large = await list_cost(embedded, "bob", 2), await list_cost(embedded, "ann", 100)
    assert small == large
