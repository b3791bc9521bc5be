"""Temporal as the consumer calls it: error table, slots, limit, breaker."""
