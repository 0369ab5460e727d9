"""From a caller's names to a row, and the protocol of an acknowledged call."""
