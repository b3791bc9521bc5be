"""The real consumer on a deterministic event loop, against a scripted Kafka cluster and a model of Temporal."""
