"""Where the stores are."""

from pathlib import Path

from pydantic import BaseModel, Field

from gateway.setting_sections.values import StoreUrl
from stores.urls import FORMS


class StoreSettings(BaseModel):
    """Where the stores are."""

    rows: StoreUrl = Field(
        default="sqlite:///rows.db",
        description="Where rows are: `sqlite:///FILE` under `data`, or `cassandra://USER:PASSWORD@HOST,HOST/KEYSPACE`; `cassandras://` for TLS",
    )
    events: StoreUrl = Field(
        default="embedded:",
        description="Where events are: `embedded:` or `kafka://HOST:PORT,HOST:PORT`; `kafkas://USER:PASSWORD@HOST:PORT` for TLS",
    )
    cache: StoreUrl = Field(
        default="embedded:",
        description="Where the cache is: `embedded:`, shared by the processes of one `data`, or `redis://HOST:PORT/DB`; `rediss://` for TLS",
    )
    groups: StoreUrl = Field(
        default="duckdb:///groups.duckdb",
        description="Where group queries go: `duckdb:///FILE` under `data`, or `druid://BROKER:PORT?coordinator=HOST:PORT`; "
        "`druids://` for TLS; `&mirror=STATES` keeps a mirror of up to so many states under `data`, for tables",
    )
    blobs: StoreUrl = Field(
        default="file:///blobs",
        description="Where files for download are: `file:///FOLDER` under `data`, which all gateways must share, or "
        "`s3://KEY:SECRET@BUCKET/FOLDER?region=…&endpoint=…`, `az://ACCOUNT:KEY@CONTAINER`, `gs://BUCKET`",
    )
    search: StoreUrl = Field(
        default="fts5:///search.db",
        description="Where collections and learners are searched for: `fts5:///FILE` under `data`, `opensearch://HOST:PORT`, or "
        "`opensearchs://USER:PASSWORD@HOST:PORT` for TLS",
    )
    prefix: str = Field(
        default="cohort",
        pattern=r"^[a-z][a-z0-9_-]{0,39}$",
        description="Begins the names of topics, cache keys, blobs and the search index, so that instances on the same servers don't meet",
    )
    data: Path = Field(
        default=Path(".cohort"), description="Directory of the embedded engines and of the development key"
    )

    @property
    def stores(self) -> dict[str, str]:
        """The URLs of the stores, by kind."""
        return {kind: getattr(self, kind) for kind in FORMS}
