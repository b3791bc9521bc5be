"""Read the topics, one consumer session after another, and commit only what is done."""
