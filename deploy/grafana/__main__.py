"""Write Grafana's dashboard: ``python -m deploy.grafana``."""

from deploy.grafana.board import FILE, rendered

if __name__ == "__main__":
    FILE.write_text(rendered())
