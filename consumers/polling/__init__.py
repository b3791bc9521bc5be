"""Read the topics: one consumer session after another, and only what is done is committed."""
