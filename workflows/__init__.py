"""The two workflows.

They await; the rules decide. Deterministic, with no I/O within reach.
"""
