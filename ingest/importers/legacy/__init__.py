"""Brings the existing platform's tables over (docs/migration.md)."""

from ingest.importers.legacy.collections import MigratedCollections, migrate_collections
from ingest.importers.legacy.job import SAMPLE, migrate_legacy, report_of
from ingest.importers.legacy.report import MigrationReport, TableReport

__all__ = [
    "SAMPLE",
    "MigratedCollections",
    "MigrationReport",
    "TableReport",
    "migrate_collections",
    "migrate_legacy",
    "report_of",
]
