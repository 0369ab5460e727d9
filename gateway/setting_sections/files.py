"""Files: for download, of the archive, icons that a publish fetches."""

from pydantic import BaseModel, Field

from gateway.setting_sections.values import Hosts


class FileSettings(BaseModel):
    """Files: for download, of the archive, icons that a publish fetches."""

    archive_copies: int = Field(
        default=536_870_912,
        gt=0,
        description="Bytes of files of the archive that a machine keeps copies of under `data`, each for 15 minutes at most",
    )
    link_ttl: float = Field(
        default=3600.0,
        ge=60,
        le=604_800,
        description="Seconds that a link to a file for download holds; then the file is deleted",
    )
    exhaust_ttl: float = Field(
        default=604_800.0,
        ge=3600,
        le=2_592_000,
        description="Seconds that the file of an exhaust is kept; each read of the exhaust gives a link that holds for `link_ttl`",
    )
    icon_hosts: Hosts = Field(
        default=(),
        description="Hosts of which a publish fetches the icons of a collection and its units, with their port unless it is "
        "the usual one; of none without it: icons keep their URL",
    )
    largest_icon: int = Field(default=1_048_576, gt=0, description="Bytes that an icon may have")
    icon_timeout: float = Field(
        default=10.0, gt=0, description="Seconds that fetching an icon may take, redirections included"
    )
    icon_private_addresses: bool = Field(
        default=False,
        description="Whether an icon's host may be this machine or in a private network",
    )
