"""Druid's own JSON, valid to POST as it stands. Group queries derive their columns and types from these files."""
