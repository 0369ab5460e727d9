"""The ready queries: a tab of GraphiQL each, in which a document stands as clients send it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.dev_tokens import AUTHOR, LEARNER, MENTOR, Person
from ingest.importers import sample

STATIC = Path(__file__).parents[1] / "static"
QUERIES = STATIC / "queries"
OPERATION = re.compile(r"^(?:query|mutation) (\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ready:
    """A document of static/queries: the task that it is for, its variables on the sample, a hint above it, and who sends it."""

    name: str
    task: str
    variables: Mapping[str, Any]
    hint: str = ""
    by: Person = LEARNER

    @property
    def text(self) -> str:
        """What the tab shows."""
        hint = f"# {self.hint}\n" if self.hint else ""
        return hint + (QUERIES / f"{self.name}.graphql").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """The name of the document's first operation. GraphiQL names the tab so."""
        (name, *_) = OPERATION.findall(self.text)
        return str(name)


_ENROLMENT = {"collection": sample.SAMPLE_COLLECTION, "context": sample.SAMPLE_CONTEXT}
_NEW = {
    "contentId": sample.ENROLABLE_CONTENT,
    "collectionId": sample.ENROLABLE_COLLECTION,
    "contextId": sample.ENROLABLE_CONTEXT,
}
TABS = (
    Ready(
        "my_courses",
        "A learner's home page",
        {"first": 20},
        "Ctrl-Enter runs it; the other tabs are ready, too.",
    ),
    Ready("course_page", "A course with the learner's own progress", _ENROLMENT),
    Ready("course_tree", "A course's whole tree in one field", {"collection": sample.SAMPLE_COLLECTION}),
    Ready("collection_contexts", "Batches that a learner may join", {"collection": sample.SAMPLE_COLLECTION}),
    Ready("my_summary", "One enrolment in detail", _ENROLMENT),
    Ready("my_assessments", "Scores and answers", {"collection": sample.SAMPLE_COLLECTION, "first": 20}),
    Ready("catalogue", "The catalogue, with search", {"text": "", "first": 20}),
    Ready(
        "record_view",
        "Enrol, and record a view",
        {**_NEW, "details": {"page": 3}},
        "Choose Enrol, Start, Update, End with the run button; then look at MyCourses again.",
    ),
    Ready("group_page", "A group's page", {"group": sample.SAMPLE_GROUP, "first": 150}),
    Ready(
        "mentor_page",
        "A mentor's page: batches and who is in them",
        {"status": "ONGOING", "first": 10, "learners": 20},
        f"Not for learners: it is sent as {MENTOR.user}, who guides batches of the sample.",
        by=MENTOR,
    ),
    Ready(
        "find_learners",
        "Learners by name",
        {"text": "ada", "first": 20},
        f"Not for learners: it is sent as {MENTOR.user}, who is a mentor and a reporter.",
        by=MENTOR,
    ),
    Ready(
        "dashboard",
        "A dashboard of three tiles",
        {"activity": sample.SAMPLE_COLLECTION},
        f"Not for learners: it is sent as {MENTOR.user}, who is a mentor and a reporter.",
        by=MENTOR,
    ),
    Ready(
        "drafts",
        "A draft and a change of it",
        {"collection": sample.ENROLABLE_COLLECTION, "description": "For all who have a board."},
        f"Not for learners: it is sent as {AUTHOR.user}, who is a creator. Run SaveDraft, then Draft again.",
        by=AUTHOR,
    ),
)
"""The tabs. Their documents are word by word those that clients use."""


def tabs(ready: Iterable[Ready], *, of_sample: bool) -> list[dict[str, Any]]:
    """Returns what the page needs of each tab. Elsewhere than on the sample texts among the variables are left to fill in."""
    return [
        {
            "name": one.name,
            "title": one.title,
            "query": one.text,
            "variables": one.variables
            if of_sample
            else {name: "" if isinstance(value, str) else value for name, value in one.variables.items()},
            "by": one.by.user,
        }
        for one in ready
    ]
