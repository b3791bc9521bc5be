"""Every interleaving, from a seed: simulations of the consumer and of the workflows."""
