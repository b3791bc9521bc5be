"""Recorded histories of each release, which every later release must be able to continue."""
