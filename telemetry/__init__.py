"""What operators see of a process: metrics, traces, and what is noted of each request. No personal data is in any of it.

Every other room may use it; it uses none. Labels and attributes are names that the program has: of stores, tables, topics,
routes, error codes. What a client names is never among them, but for operations that are asked for often (``operations.py``).
"""
