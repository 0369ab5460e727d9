"""One Protocol per kind of engine with its two engines each, and the tables."""
