"""The sign-in rules: they decide.

They take the time as an argument and import no Temporal.
"""
