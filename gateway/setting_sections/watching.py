"""What an operator is told."""

from typing import Literal

from pydantic import BaseModel, Field


class WatchingSettings(BaseModel):
    """What an operator is told."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged; `debug` shows stack traces of commands, too"
    )
