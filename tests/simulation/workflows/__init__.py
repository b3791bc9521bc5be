"""The workflow half: the real workflows, and a model of Temporal that does all that it may do."""
