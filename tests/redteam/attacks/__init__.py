"""The attacks, grouped by their target."""
