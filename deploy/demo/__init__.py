"""``make demo``: virtual people sign in through the real worker, real Kafka, real Temporal and real SMTP."""
