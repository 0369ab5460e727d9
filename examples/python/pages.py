"""Prints a learner's home and a mentor's group page: COHORT_URL and the tokens are in the environment."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cohort_client import Client
from cohort_client.my_courses import MyCoursesMeEnrolmentsEdgesNode


@asynccontextmanager
async def cohort(url: str, token: str) -> AsyncIterator[Client]:
    """A client for one person."""
    async with Client(f"{url}/graphql", headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


async def my_enrolments(client: Client, at_once: int = 20) -> list[MyCoursesMeEnrolmentsEdgesNode]:
    """All active enrolments of the caller, page by page."""
    found, after = [], None
    while True:
        me = (await client.my_courses(first=at_once, after=after)).me
        if me is None or me.enrolments is None:
            raise LookupError("there is no list of enrolments")
        found += [edge.node for edge in me.enrolments.edges]
        if not me.enrolments.page_info.has_next_page:
            return found
        after = me.enrolments.page_info.end_cursor


async def main() -> None:
    url = os.environ["COHORT_URL"]
    async with cohort(url, os.environ["COHORT_LEARNER_TOKEN"]) as client:
        for one in await my_enrolments(client, at_once=2):
            name = one.collection.name if one.collection else "gone"
            print(f"{name}: {one.completion_percentage} %, enrolled {one.enrolled_on:%d %B %Y}")
        course = (await client.course_page(collection="sky", context="sky-open")).collection
        for unit in (course.children if course else None) or []:
            done = f"{unit.progress.completion_percentage} %" if unit.progress else "no progress"
            print(f"  {unit.name}: {done}")
    async with cohort(url, os.environ["COHORT_MENTOR_TOKEN"]) as client:
        group = (await client.group_page(group="evening-class")).group
        for activity in (group.activities if group else None) or []:
            figures = {figure.metric: figure.value for figure in activity.agg}
            print(
                f"{activity.type_}: {figures['enrolledCount']:g} enrolled, {len(activity.members.edges)} members"
            )


if __name__ == "__main__":
    asyncio.run(main())
