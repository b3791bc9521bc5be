"""How the code is built and how it reads."""
