"""Brings the existing platform's tables over (docs/migration.md)."""

from ingest.migration.job import SAMPLE, migrate_legacy, report_of
from ingest.migration.report import Report, TableReport

__all__ = ["SAMPLE", "Report", "TableReport", "migrate_legacy", "report_of"]
