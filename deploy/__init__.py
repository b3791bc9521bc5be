"""What surrounds the worker: its image, its roll-out, and a local stack of real parts."""
