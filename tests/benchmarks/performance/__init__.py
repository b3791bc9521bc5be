"""The benchmark behind ``make bench``: ours, the floor and the usual way in the same run, on real servers."""
