"""What the server listens on, and what it serves beside answers."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from gateway.setting_sections.values import Networks, Origins


class ServingSettings(BaseModel):
    """What the server listens on, and what it serves beside answers."""

    host: str = Field(default="127.0.0.1", description="Address that the server listens on")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port that the server listens on; 0 for any free one"
    )
    trusted_proxies: Networks = Field(
        default=("127.0.0.1", "::1"),
        description="Addresses and networks of proxies in front, such as `10.0.0.0/8`: what they say in `X-Forwarded-For` and "
        "`X-Forwarded-Proto` holds",
    )
    drain: float = Field(
        default=1.0,
        ge=0,
        description="Seconds for which a server that is told to stop still takes requests, while `/health/ready` is 503",
    )
    wait_for_stores: float = Field(
        default=0.0,
        ge=0,
        description="Seconds for which a server or worker tries again at its start, while a store is away that it can't do "
        "without; 0: it ends with a message",
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^?#]+)?$",
        description="Where clients reach the gateway, such as `https://cohort.example`: begins links to files in `blobs`; "
        "without it they are paths",
    )
    metric_links: bool = Field(default=False, description="Links to figures may be made; in dev always")
    allowed_origins: Origins = Field(
        default=(),
        description="Origins whose pages may call the gateway from a browser, such as `https://app.example`; `*` for any; "
        "of none without it. `cohort dev` also answers pages of this machine",
    )
    compressed_from: int = Field(
        default=1_000,
        ge=0,
        description="Bytes from which on an answer is compressed (gzip) for clients that accept it; 0 for never, where a "
        "proxy in front does it",
    )
    static: Path | None = Field(
        default=None,
        description="Directory into which the aggregation writes static files for an edge; none are written without it",
    )
    explorer: Literal["off", "authenticated", "open"] = Field(
        default="off",
        description="Start page, GraphiQL and the reference of REST: for nobody, for who has a token, for everybody. `cohort dev` has them open",
    )
    dev: bool = Field(
        default=False,
        description="Pages for a browser with tokens for everybody, and a worker in the server's process",
    )
