"""Brings the existing platform's tables over (docs/migration.md)."""

from ingest.importers.legacy.collections import MigratedCollections, migrate_collections
from ingest.importers.legacy.job import MIGRATION, SAMPLE, migrate_legacy, report_of, report_path
from ingest.importers.legacy.rejects import rejects_path
from ingest.importers.legacy.report import MigrationReport, TableReport
from ingest.importers.legacy.retrying import retry_rejected

__all__ = [
    "MIGRATION",
    "SAMPLE",
    "MigratedCollections",
    "MigrationReport",
    "TableReport",
    "migrate_collections",
    "migrate_legacy",
    "rejects_path",
    "report_of",
    "report_path",
    "retry_rejected",
]
