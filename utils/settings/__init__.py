"""Settings: reads them from the environment, validates them, and refuses unsafe ones."""
