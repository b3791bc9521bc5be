"""Side effects, and the ports that they need of the outside."""
