"""The keys of what a registration brings, in the order of time."""

from ingest.importers.oulad.dataset import Registration, Student, Submission, content_id
from rules.identifiers import ProgressKey, ViewKey


def progress_key(student: Student, registration: Registration) -> ProgressKey:
    presentation = registration.presentation
    return ProgressKey(student.user_id, presentation.collection_id, presentation.context_id)


def view_keys(student: Student, registration: Registration) -> dict[ViewKey, int]:
    """Returns the views of a registration with the day of each, in the order of time."""
    key = progress_key(student, registration)
    return {
        ViewKey(key.user_id, key.collection_id, key.context_id, content_id(site)): day
        for site, day in sorted(registration.first_days.items(), key=lambda item: (item[1], item[0]))
    }


def submissions(student: Student, registration: Registration) -> dict[ViewKey, Submission]:
    """Returns the submissions of a registration, in the order of time."""
    key = progress_key(student, registration)
    found = sorted(registration.submissions.values(), key=lambda one: (one.day, one.assessment.id))
    return {
        ViewKey(key.user_id, key.collection_id, key.context_id, one.assessment.content_id): one
        for one in found
    }
