"""Random orders of events, each from a seed: simulations of the consumer and of the workflows."""
