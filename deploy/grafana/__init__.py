"""Grafana's dashboard, as code."""
