"""The dashboard for Grafana, as code."""
