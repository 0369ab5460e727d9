"""Create, change and retire contents and collections, as their authors see them (R-COLL-4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loaders.session import Session
from rules.contents import Metadata
from rules.drafts import Draft


@dataclass(frozen=True, slots=True)
class NewContent:
    """A content or a collection to be created; the MIME type says which. Without ``identifier`` it gets one.

    ``metadata``: whatever else is said of it, by the platform's names.
    """

    name: str
    mime_type: str
    identifier: str | None = None
    metadata: Metadata = field(default_factory=dict)


async def create_content(session: Session, new: NewContent) -> Draft:
    """Creates the content or collection and returns its draft. The same call sent again returns it too.

    Needs the role creator, admin or service. Raises InvalidInput if something different has the id.
    """
    raise NotImplementedError


async def update_content(
    session: Session, identifier: str, version_key: str | None, changes: Mapping[str, Any]
) -> Draft:
    """Changes metadata by the platform's names and returns the draft; None removes a key.

    ``version_key``: which draft the change was made from; None for whichever is there. Needs the role creator, admin
    or service. Raises NotFound, InvalidInput that names the key, Conflict if ``version_key`` is not the draft's.
    """
    raise NotImplementedError


async def retire_content(session: Session, identifier: str) -> Draft:
    """Retires the content or collection and returns its draft. The same call sent again returns it too.

    Needs the role creator, admin or service. Raises NotFound.
    """
    raise NotImplementedError
