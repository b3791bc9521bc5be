"""Sabotage: breaks each rule of the consumer on purpose, to show that a test notices."""
