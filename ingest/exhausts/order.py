"""What is asked for with an exhaust, as the job keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from rules.exhausts import ExhaustFormat, ExhaustKind
from rules.moments import milliseconds, moment


@dataclass(frozen=True, slots=True)
class ExhaustOrder:
    """An exhaust to be written.

    - ``job``: the id of its job.
    - ``file``: the name of the blob.
    - ``by``: who asked, ``at``: when.
    - ``password``: of the encrypted zip. None for a file that is not encrypted, and once the job has ended.
    """

    job: str
    kind: ExhaustKind
    collection_id: str
    context_id: str
    format: ExhaustFormat
    file: str
    by: str
    at: datetime
    password: str | None = None

    def arguments(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "kind": self.kind.value,
            "collection_id": self.collection_id,
            "context_id": self.context_id,
            "format": self.format.value,
            "file": self.file,
            "by": self.by,
            "at": milliseconds(self.at),
            "password": self.password,
        }

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        return cls(
            job=arguments["job"],
            kind=ExhaustKind(arguments["kind"]),
            collection_id=arguments["collection_id"],
            context_id=arguments["context_id"],
            format=ExhaustFormat(arguments["format"]),
            file=arguments["file"],
            by=arguments["by"],
            at=moment(arguments["at"]),
            password=arguments.get("password"),
        )
