"""Adapters, each module named after the outside thing that it talks to."""
