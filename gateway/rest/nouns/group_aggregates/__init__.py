"""Figures of a group's activities and of their members. Moments are epoch milliseconds, as the platform's are.

There are two kinds of calls: those of the viewer's documents, and the platform's own, in the shape that its clients know.
"""
