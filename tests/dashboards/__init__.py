"""The dashboard with data: a real Prometheus scrapes workers under load and answers every query."""
