"""Every kind of job. It serves whoever knows a job by its row alone (``cohort jobs resume``)."""

from collections.abc import Sequence

from ingest.archival.job import ARCHIVAL
from ingest.archival.restoring import RESTORATION
from ingest.archival.verification import VERIFICATION
from ingest.exhausts.job import EXHAUSTING
from ingest.importers.legacy.collections import COLLECTIONS
from ingest.importers.legacy.job import MIGRATION
from ingest.importers.oulad.loading import LOADING
from ingest.jobs.closing import CLOSING
from ingest.jobs.context_lists import LISTING
from ingest.jobs.erasure import ERASURE
from ingest.jobs.mode_change import MODE_CHANGE
from ingest.jobs.plans import JobKind
from ingest.jobs.reconcile import RECONCILIATION
from ingest.jobs.upgrade import UPGRADE
from ingest.learner_index.check import LEARNER_CHECK
from ingest.publishing.job import PUBLISHING
from ingest.publishing.search_check import SEARCH_CHECK
from rules.errors import InvalidInput

JOB_KINDS: Sequence[JobKind] = (
    ARCHIVAL,
    CLOSING,
    COLLECTIONS,
    ERASURE,
    EXHAUSTING,
    LEARNER_CHECK,
    LISTING,
    LOADING,
    MIGRATION,
    MODE_CHANGE,
    PUBLISHING,
    RECONCILIATION,
    RESTORATION,
    SEARCH_CHECK,
    UPGRADE,
    VERIFICATION,
)


def job_kind(name: str) -> JobKind:
    """Returns the kind of this name. Raises InvalidInput if there is none."""
    for kind in JOB_KINDS:
        if kind.name == name:
            return kind
    names = ", ".join(sorted(kind.name for kind in JOB_KINDS))
    raise InvalidInput(f"{name} is no kind of job; there are {names}", field="kind")
