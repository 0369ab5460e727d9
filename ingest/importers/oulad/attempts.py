"""What the dataset knows of an attempt, as a call that submits it."""

from ingest.commands.assessments import AssessmentCall
from ingest.importers.oulad.dataset import MOST_POINTS, PASS_MARK, Presentation, Submission
from rules.identifiers import ViewKey
from rules.moments import milliseconds


def assessment_call(key: ViewKey, submission: Submission, presentation: Presentation) -> AssessmentCall:
    """Returns the submission as one answer to one question, which is all that the files know of it."""
    at, assessment, score = (
        presentation.submitted_on(submission),
        submission.assessment,
        submission.score or 0,
    )
    item = {
        "id": assessment.content_id,
        "title": assessment.name,
        "type": assessment.type,
        "maxscore": MOST_POINTS,
        "desc": "banked: the result of an earlier presentation" if submission.is_banked else "",
    }
    answer = {"item": item, "index": 1, "score": score, "pass": "Yes" if score >= PASS_MARK else "No"}
    event = {"eid": "ASSESS", "ets": milliseconds(at), "edata": answer}
    return AssessmentCall(
        *(key.content_id, key.collection_id, key.context_id, key.user_id),
        attempt_id=submission.attempt_id,
        attempted_on=at,
        events=[event],
    )
