"""Prometheus: alerts, written by hand in ``alerts.yml``, and objectives, from which ``slo.yml`` is written."""
