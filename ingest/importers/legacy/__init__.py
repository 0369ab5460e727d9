"""Brings the existing platform's tables over (docs/migration.md)."""

from ingest.importers.legacy.job import SAMPLE, migrate_legacy, report_of
from ingest.importers.legacy.report import Report, TableReport

__all__ = ["SAMPLE", "Report", "TableReport", "migrate_legacy", "report_of"]
