"""The dashboard, filled: every query of it is put to a real Prometheus that scrapes workers under load."""
