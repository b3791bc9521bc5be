"""Temporal, through its SDK."""
