"""The chart, rendered by the real Helm with one set of values or another."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.local.places import PROJECT

FOLDER: Final = PROJECT / "deploy" / "helm"
CHART: Final = FOLDER / "signin-worker"
DIGEST: Final = "ab" * 32
IMAGE: Final = f"registry.example/team/signin-worker@sha256:{DIGEST}"

ENVIRONMENTS: Final = {name: FOLDER / f"{name}.yaml" for name in ("production", "staging")}
"""Values that the roll-out uses; it adds the releases."""

EXAMPLES: Final = {name: CHART / "ci" / f"{name}-values.yaml" for name in ("minimal", "everything")}
"""Values that are complete."""

_ONE_RELEASE: Final = {"releases": {"sha-abababababab": {"image": IMAGE, "reads": True}}}
_KUBERNETES: Final = "1.34"  # a Helm that Go has built takes itself for a client of 1.20

Manifest = dict[str, Any]


@dataclass
class Chart:
    """The chart, and what it was rendered to so far."""

    helm: Path
    _rendered: dict[str, list[Manifest]] = field(default_factory=dict)

    def render(self, name: str, changes: Mapping[str, Any] | None = None) -> list[Manifest]:
        """Return the manifests for values by their name, with changes. Raises ``ValuesRefused``."""
        key = json.dumps([name, changes])
        if key not in self._rendered:
            done = self.run("template", name, changes)
            if done.returncode:
                raise ValuesRefused(done.stderr)
            self._rendered[key] = [each for each in yaml.safe_load_all(done.stdout) if each]

        return self._rendered[key]

    def run(
        self, command: str, name: str, changes: Mapping[str, Any] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``helm lint`` or ``helm template`` on the chart."""
        overlay = (_ONE_RELEASE if name in ENVIRONMENTS else {}) | dict(changes or {})
        return self._run(command, overlay, ["--values", str(values_file(name))])

    def notes(self, name: str, changes: Mapping[str, Any]) -> str:
        """Return what Helm would print after an installation. Asks no cluster."""
        files = ["--dry-run=client", "--values", str(values_file(name))]
        return self._run("install", changes, files).stdout.partition("\nNOTES:\n")[2]

    def run_alone(self, values: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
        """Run ``helm template`` with these values and no others."""
        return self._run("template", values, [])

    def _run(self, command: str, values: Mapping[str, Any], files: list[str]) -> "subprocess.CompletedProcess[str]":
        release = ["--strict"] if command == "lint" else ["signin-worker"]
        version = [] if command == "install" else ["--kube-version", _KUBERNETES]
        return subprocess.run(
            [self.helm, command, *release, CHART, *version, *files, "--values", "-"],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


class ValuesRefused(Exception):
    """Raised when Helm refuses the values, with its words."""


def values_file(name: str) -> Path:
    """Return the file of values by its name."""
    return (ENVIRONMENTS | EXAMPLES)[name]


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of a kind."""
    return [each for each in manifests if each["kind"] == kind]


def only(manifests: Iterable[Manifest], kind: str) -> Manifest:
    """Return the one manifest of a kind."""
    (found,) = of_kind(manifests, kind)
    return found


def pod(workload: Manifest) -> Manifest:
    """Return the pod of a Deployment or a Job."""
    spec = workload["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container(workload: Manifest) -> Manifest:
    """Return the one container of a Deployment or a Job."""
    (found,) = pod(workload)["containers"]
    assert isinstance(found, dict)
    return found


def environment(workload: Manifest) -> dict[str, str]:
    """Return the variables that have a value of their own."""
    return {each["name"]: each["value"] for each in container(workload)["env"] if "value" in each}
