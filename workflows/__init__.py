"""What is decided, and in which order: deterministic, no I/O within reach."""
