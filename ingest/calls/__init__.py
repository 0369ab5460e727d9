"""Finds the row that a caller's names lead to, and holds the protocol of an acknowledged call."""
