"""The servers around the worker: Kafka and Temporal, real; mail, siteverify and DNS, answering as scripted."""
