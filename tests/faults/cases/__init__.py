"""The faults, one function each, grouped by their target."""
