"""The faults, one function each, by what they are done to."""
