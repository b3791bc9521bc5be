"""A fixture release: the same workflows with other commands, as a next release may have."""
