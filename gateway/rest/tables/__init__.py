"""Figures as tables of rows and columns: JSON, CSV or Parquet, over HTTP as it is, without the platform's envelope."""
