"""The publishers: one consumer group that runs publications, one at a time for each of its members."""

from ingest.jobs.asked_for import AskedFor
from ingest.publishing.job import PUBLISHING
from loaders.session import Shared
from stores.topics import PUBLISH_REQUESTS, PUBLISHER_GROUP


class Publisher(AskedFor):
    """A member of the group of publishers."""

    def __init__(self, shared: Shared, *, wait: float = 0.5, group: str = PUBLISHER_GROUP) -> None:
        super().__init__(shared, PUBLISHING, PUBLISH_REQUESTS.name, group, wait=wait)
