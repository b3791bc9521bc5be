"""Settings: read from the environment, checked, and refused where they are unsafe."""
