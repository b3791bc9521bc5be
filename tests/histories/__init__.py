"""Recorded histories: what a release leaves in Temporal, which every later release must be able to continue."""
