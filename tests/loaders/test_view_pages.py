"""Pages of the views of a place, over rows of which some are no views."""

from typing import Any

import pytest

from loaders.views import row_key
from resolvers.listed_views import ListedView
from resolvers.paging import Page
from resolvers.views import ViewsWanted, views_everywhere, views_page, views_page_in_short
from rules.identifiers import ViewKey
from stores.rows import Write
from stores.tables import LEARNER_SCOPES, VIEWS
from tests.conftest import NOW, Instance

SHOWN = [f"v{number}" for number in range(5)]
NO_VIEWS = ["a0", "a1", "a2", "v00", "v10", "v11", "v12", "z0"]
"""Contents whose rows have no status, as a late write leaves them: before those that are shown, between and behind."""


@pytest.mark.parametrize("details", [True, False], ids=["whole", "listed"])
async def test_rows_without_a_view_end_no_list_early(cohort: Instance, details: bool) -> None:
    await cohort.publish_course()
    places = {content: (*("ada", "course", "batch"), content) for content in (*SHOWN, *NO_VIEWS)}
    accessed = {"last_access_time": NOW}
    await cohort.stores.rows.write(
        *(Write(VIEWS, row_key(ViewKey(*places[content])), {"status": 1, **accessed}) for content in SHOWN),
        *(Write(VIEWS, row_key(ViewKey(*places[content])), accessed) for content in NO_VIEWS),
    )
    session = cohort.session("ada")
    for first in (1, 2, 3, 5, 9):
        seen: list[str] = []
        more = True
        while more:
            after = seen[-1] if seen else None
            page: Page[Any] = await (views_page if details else views_page_in_short)(
                session, "ada", ViewsWanted("course", "batch"), first=first, after=after
            )
            seen += [
                view.content_id if isinstance(view, ListedView) else view.key.content_id
                for view in page.members
            ]
            assert len(page.members) == first or not page.has_more
            more = page.has_more
        assert seen == SHOWN


async def test_rows_without_a_view_hide_none_of_all_that_a_learner_viewed(cohort: Instance) -> None:
    """Pages of several places: the rest of a place would be passed over."""
    contexts = ("batch", "course")
    await cohort.stores.rows.write(
        *(Write(LEARNER_SCOPES, ("ada", "course", context), {"scope": "course"}) for context in contexts),
        *(
            Write(
                VIEWS,
                row_key(ViewKey("ada", "course", context, content)),
                {"last_access_time": NOW} | ({"status": 1} if content in SHOWN else {}),
            )
            for context in contexts
            for content in (*SHOWN, *NO_VIEWS)
        ),
    )
    session = cohort.session("ada")
    for first in (1, 2, 3, 5, 20):
        seen: list[tuple[str, str, str]] = []
        more = True
        while more:
            after = seen[-1] if seen else None
            page = await views_everywhere(session, "ada", first=first, after=after)
            seen += [
                (view.key.collection_id, view.key.context_id, view.key.content_id) for view in page.members
            ]
            more = page.has_more
        assert seen == [("course", context, content) for context in contexts for content in SHOWN]
