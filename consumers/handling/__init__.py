"""Handle one record: apply it, retry it, dead-letter it, count it."""
