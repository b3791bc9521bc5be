"""``make demo``: virtual people sign in through the real worker, Kafka, Temporal and SMTP server."""
