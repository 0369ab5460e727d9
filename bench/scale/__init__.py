"""How much a thousand times the load needs: a model of unit costs that were measured, and a seeded simulation of arrival, sizes of
partitions and lag. ``scripts/bench scale`` prints the tables of docs/scale.md."""
