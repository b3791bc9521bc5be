"""Brings ``deploy/compose/compose.yaml`` up and signs in through it: ``make compose-check``."""
