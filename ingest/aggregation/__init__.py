"""Batch mode: figures of activities and of groups, computed on a schedule from rows.

It reads from the log what was touched since the last run and counts that anew from rows. It writes the result three
times: to the data source ``activity-totals``, to the table ``activity_agg``, and to static files for an edge.
"""

from ingest.aggregation.run import Status, aggregate, aggregation_status
from ingest.aggregation.turn import AggregationReport

__all__ = ["AggregationReport", "Status", "aggregate", "aggregation_status"]
