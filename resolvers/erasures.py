"""Deletion of what a learner has, and the forced end of views that never ended."""

from datetime import timedelta

from ingest.commands.closing import Closing, close_own_idle_views
from ingest.commands.erasures import Erasure, ErasureCall, erase
from loaders.session import Session
from rules.errors import InvalidInput

__all__ = ["Closing", "Erasure", "ErasureCall", "close_idle_views", "erase"]

LONGEST_IDLE = 36_500


async def close_idle_views(session: Session, idle_days: int, user_id: str | None) -> Closing:
    """Ends the views of one learner that nobody has touched for long. InvalidInput, Forbidden, StoreUnavailable."""
    if not 1 <= idle_days <= LONGEST_IDLE:
        raise InvalidInput(f"idleDays must be from 1 to {LONGEST_IDLE}", field="idleDays")
    return await close_own_idle_views(session, timedelta(days=idle_days), user_id)
