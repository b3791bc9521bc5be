"""Write ``slo.yml``, and the addresses of the runbook in all rules: ``python -m deploy.prometheus``."""

from deploy.prometheus.runbook import readdress
from deploy.prometheus.slo_rules import FILE, rendered

if __name__ == "__main__":
    FILE.write_text(rendered())
    for name in ("alerts.yml", "alerts.test.yml", "slo.test.yml"):
        readdress(FILE.with_name(name))
