"""What resolvers of fields are given."""

import strawberry

from resolvers.nouns import Session

Info = strawberry.Info[Session, None]
"""``info.context`` is the caller's Session."""
