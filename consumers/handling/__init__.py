"""Handle one record: apply it, try again, dead-letter it, count it."""
