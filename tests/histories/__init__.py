"""Recorded histories: what a release left in Temporal, and what every later one must be able to go on with."""
