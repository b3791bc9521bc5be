"""Call Temporal: the calls, what its errors mean, and how many may be under way."""
