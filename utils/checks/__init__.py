"""What ``signin-worker check`` asks of each dependency."""
