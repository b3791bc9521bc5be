"""A real Prometheus as a child process. It scrapes workers, evaluates the project's alerts and answers queries."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from deploy.local.places import LOOPBACK, PROJECT, StackError, free_ports
from deploy.local.processes import Child

SCRAPE_INTERVAL_S: Final = 1
_READY_WITHIN_S: Final = 30
_RULES: Final = [PROJECT / "deploy" / "prometheus" / name for name in ("alerts.yml", "slo.yml")]


@dataclass(frozen=True)
class Series:
    """One line of an answer: its labels, and its points as time and value."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def highest(self) -> float:
        """The highest value."""
        return max(value for _, value in self.points)


class LocalPrometheus:
    """Runs between ``start`` and ``stop``. Needs ``prometheus`` on the path (Debian package ``prometheus``)."""

    def __init__(self) -> None:
        self._child = Child("prometheus")
        (self._port,) = free_ports(1)

    def start(self, targets: Sequence[str]) -> None:
        """Start to scrape these ``host:port``; return once Prometheus answers. Raises ``StackError``."""
        program = shutil.which("prometheus")
        if program is None:
            raise StackError("prometheus is not installed: on Debian and Ubuntu, install the package prometheus.")

        settings = self._child.folder / "prometheus.yml"
        settings.write_text(json.dumps(_settings(targets)))  # JSON is YAML
        options = {
            "config.file": settings,
            "storage.tsdb.path": self._child.folder / "data",
            "web.listen-address": f"{LOOPBACK}:{self._port}",
            "log.level": "warn",
        }
        self._child.start([program, *(f"--{name}={value}" for name, value in options.items())])
        self._child.wait_until(self._is_ready, within_s=_READY_WITHIN_S)

    def stop(self) -> None:
        """Stop Prometheus and remove its data."""
        self._child.stop()

    def query_range(self, expression: str, begin: float, end: float, step_s: float) -> list[Series]:
        """Return the values of an expression from ``begin`` to ``end``, without those that are not finite numbers."""
        times: dict[str, Any] = {"start": begin, "end": end, "step": step_s}
        result = self._ask("query_range", {"query": expression, **times})["result"]
        found = [Series(line["metric"], _points(line["values"])) for line in result]
        return [series for series in found if series.points]

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules with their health, and the state of those that alert."""
        groups = self._ask("rules", {})["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def version(self) -> str:
        """Return the version of Prometheus."""
        return str(self._ask("status/buildinfo", {})["version"])

    def _ask(self, what: str, parameters: dict[str, Any]) -> dict[str, Any]:
        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.get(f"http://{LOOPBACK}:{self._port}/api/v1/{what}", params=parameters).json()
        assert answer["status"] == "success", f"{answer.get('error')}: {parameters}"
        data: dict[str, Any] = answer["data"]
        return data

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://{LOOPBACK}:{self._port}/-/ready", trust_env=False).is_success
        except httpx.TransportError:
            return False


def _settings(targets: Sequence[str]) -> dict[str, Any]:
    interval = f"{SCRAPE_INTERVAL_S}s"
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [str(file) for file in _RULES],
        "scrape_configs": [{"job_name": "signin-worker", "static_configs": [{"targets": list(targets)}]}],
    }


def _points(values: list[list[Any]]) -> tuple[tuple[float, float], ...]:
    known = ((float(time), float(value)) for time, value in values)
    return tuple((time, value) for time, value in known if math.isfinite(value))
