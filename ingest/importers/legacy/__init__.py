"""Brings the existing platform's tables over (docs/migration.md)."""

from ingest.importers.legacy.job import SAMPLE, migrate_legacy, report_of
from ingest.importers.legacy.report import MigrationReport, TableReport

__all__ = ["SAMPLE", "MigrationReport", "TableReport", "migrate_legacy", "report_of"]
