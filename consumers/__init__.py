"""Kafka in: what turns records into calls to Temporal."""
