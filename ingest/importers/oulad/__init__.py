"""Loads the Open University Learning Analytics Dataset (docs/oulad.md) through the ordinary commands."""

from ingest.importers.oulad.loading import load_oulad
from ingest.importers.oulad.report import Counts, OuladReport

__all__ = ["Counts", "OuladReport", "load_oulad"]
