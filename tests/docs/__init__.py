"""The documents: what is written by hand is checked, what can be told from the code is written from it."""
