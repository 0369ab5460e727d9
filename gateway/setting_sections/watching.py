"""What an operator is told."""

from typing import Literal

from pydantic import BaseModel, Field


class WatchingSettings(BaseModel):
    """What an operator is told."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged; `debug` shows stack traces of commands, too"
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="How a line of the log is written: for people, or as a JSON object"
    )
    slow_request: float = Field(
        default=1.0,
        ge=0,
        description="Seconds from which on a request is told in the log, with what it sent to the stores; 0 for never",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on `host` at which Prometheus reads the metrics without a token; 0 for none. Several processes of "
        "`cohort serve` take the ports from it on",
    )
    metrics_every: float = Field(
        default=30.0,
        ge=0,
        description="Seconds between two readings of lag, last aggregation, dead letters and jobs for the metrics; 0 for none",
    )
    traces_url: str = Field(
        default="",
        pattern=r"^(https?://[^?#]+)?$",
        description="Where a collector of OpenTelemetry takes traces by OTLP over HTTP, such as `http://collector:4318`; none "
        "are made without it",
    )
    traces_ratio: float = Field(
        default=1.0, ge=0, le=1, description="The part of traces that is kept, from 0 to 1"
    )
