"""Batched reads by key, one loader per thing looked up."""
