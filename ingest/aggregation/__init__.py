"""Batch mode: figures of activities and of groups, computed on a schedule from rows (R-QUERY-5, R-AGG-5).

Reads off the log what was touched since the last run, counts that anew from rows, and tells the result three times: to
the data source ``activity-totals``, to the table ``activity_agg``, and to static files for an edge.
"""

from ingest.aggregation.running import Status, aggregate, aggregation_status
from ingest.aggregation.schedule import Schedule
from ingest.aggregation.turn import Report

__all__ = ["Report", "Schedule", "Status", "aggregate", "aggregation_status"]
