"""Which documents clients may send, and what they are told of the schema."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from gateway.setting_sections.values import Key, split


class DocumentSettings(BaseModel):
    """Which documents clients may send, and what they are told of the schema."""

    documents: Literal["any", "warn", "trusted"] = Field(
        default="any",
        description="Documents of GraphQL that are answered: `any`, or those alone (`trusted`) that `cohort documents load` or "
        "`trusted_documents` has loaded; `warn` answers any and logs the others. Who has the role admin or service may send "
        "any. `cohort dev` answers any",
    )
    trusted_documents: Path | None = Field(
        default=None,
        description="Manifest of trusted documents that the server loads when it starts: a file of Apollo's, a file of hashes "
        "and texts, or a folder of `.graphql` files",
    )
    introspection: Literal["open", "authenticated", "off"] = Field(
        default="authenticated",
        description="Who may ask for the schema (`__schema`, `__type`) and is told what may have been meant: `open` for "
        "everybody, `authenticated` for who has a token, `off` for nobody. `cohort dev` is open",
    )
    published_ttl: int = Field(
        default=60,
        ge=0,
        description="Seconds that a client may show published collections again without asking, after a query by GET; figures: "
        "`answers_ttl`",
    )
    federation: bool = Field(
        default=False,
        description="Whether the schema is a subgraph of Apollo Federation 2: it then has `_service`, which tells all of it to "
        "whoever has a token, unless `introspection` is `off`, and `_entities`",
    )
    mcp: Literal["off", "queries", "all"] = Field(
        default="off",
        description="Trusted documents that agents may call as tools, by the Model Context Protocol at `/mcp`: none, queries alone, "
        "or all of them. Needs `pip install 'cohort[mcp]'`. `cohort dev` has all",
    )
    router_keys: Annotated[tuple[Key, ...], NoDecode, BeforeValidator(split)] = Field(
        default=(),
        description="Keys by which routers of a supergraph say who they are, in `X-Router-Key`, where `federation` is true: they "
        "may send any document, whatever `documents` says; access stays that of the caller's token. Each of at least 32 bytes; "
        "two while one takes the other's place",
    )
