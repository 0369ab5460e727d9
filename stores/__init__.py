"""Ports: one Protocol for each kind of store, with two engines each; and the tables and topics."""
