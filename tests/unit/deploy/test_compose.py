"""The compose file names only settings, files and services that exist, and only local ports."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.servers.containers import KAFKA_IMAGE, TEMPORAL_IMAGE
from deploy.local.places import PROJECT
from utils.settings.environment import variables
from utils.settings.model import Settings

FILE = PROJECT / "deploy" / "compose" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
_PINNED = re.compile(r"[a-z/-]+:v?\d+(\.\d+)+")


def test_services_of_the_worker_are_hardened() -> None:
    """The services of our own image cannot write, gain privileges or run as root."""
    assert OURS == ["topics", "namespace", "worker", "codec-server"]
    for name in OURS:
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "privileged" not in service and "user" not in service


@pytest.mark.parametrize("name", OURS)
def test_settings_exist(name: str) -> None:
    """The worker knows each setting, and each service gets the secrets whose files it names."""
    known = {variable.name for variable in variables(Settings)}
    environment = SERVICES[name]["environment"]
    for variable, value in environment.items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in SERVICES[name]["secrets"]
            variable = variable.removesuffix("_FILE")
        assert variable in known or variable.startswith("TEMPORAL_")


def test_other_images_are_pinned_and_ports_are_local() -> None:
    """Images have a version, because a moving tag changes the stack. Ports are published on loopback only."""
    for name, service in SERVICES.items():
        assert name in OURS or _PINNED.fullmatch(service["image"]), service["image"]
        assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []


def test_kafka_and_temporal_have_the_versions_of_the_tests() -> None:
    """Compose runs the images that the tests use with Docker."""
    assert SERVICES["kafka"]["image"] == KAFKA_IMAGE
    assert SERVICES["temporal"]["image"] == TEMPORAL_IMAGE


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    """Mounted files exist and are mounted read-only; every other mount is a declared volume."""
    for path in _mounted():
        assert (FILE.parent / path).is_file(), path
    used = {one.partition(":")[0] for service in SERVICES.values() for one in service.get("volumes", [])}
    assert {one for one in used if not one.startswith(".")} == set(COMPOSE["volumes"])


def test_secrets_are_documented_and_never_committed() -> None:
    """docs/compose.md creates each secret in a folder that git ignores."""
    page = (PROJECT / "docs" / "compose.md").read_text()
    ignored = (PROJECT / ".gitignore").read_text().splitlines()
    for secret in COMPOSE["secrets"].values():
        assert f"> deploy/compose/{secret['file']}\n" in page
        assert f"deploy/compose/{Path(secret['file']).parent}/" in ignored


def test_services_wait_for_their_dependencies() -> None:
    """The worker waits for topics and namespace, which wait until Kafka and Temporal are healthy."""
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    assert set(waits["worker"]) == {"topics", "namespace", "mailpit"}
    assert waits["topics"] == {"kafka": {"condition": "service_healthy"}}
    assert waits["namespace"] == {"temporal": {"condition": "service_healthy"}}
    assert {name for needs in waits.values() for name in needs} <= set(SERVICES)


def test_prometheus_scrapes_the_worker() -> None:
    """Prometheus scrapes the worker under the job name that the alerts expect."""
    config = yaml.safe_load((FILE.parent / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["worker:8080"]}]
    assert f'job="{job["job_name"]}"' in (FILE.parents[1] / "prometheus" / "alerts.yml").read_text()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    """docker-compose can merge and resolve the file."""
    done = subprocess.run(
        ["docker-compose", "--file", str(FILE), "config", "--quiet"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def _mounted() -> Iterator[str]:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source, _, target = mount.partition(":")
            if source.startswith("."):
                assert target.endswith(":ro")
                yield source
