"""The servers around the worker: Kafka and Temporal, real; mail, siteverify and DNS, which answer as scripted."""
