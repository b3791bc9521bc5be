"""The chart and its roll-out, with the real Helm."""
