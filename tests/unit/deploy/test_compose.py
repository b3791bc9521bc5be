"""The compose file says only what there is: settings, files, services, ports of this machine."""

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


def test_ours_are_the_worker_and_its_helpers() -> None:
    """All of one image, none of which may write, gain rights or be root."""
    assert OURS == ["topics", "namespace", "worker", "codec-server"]
    for name in OURS:
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "privileged" not in service and "user" not in service


@pytest.mark.parametrize("name", OURS)
def test_settings_are_settings(name: str) -> None:
    """Each is one that the worker knows, and each file of a secret is one that the service is given."""
    known = {variable.name for variable in variables(Settings)}
    environment = SERVICES[name]["environment"]
    for variable, value in environment.items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in SERVICES[name]["secrets"]
            variable = variable.removesuffix("_FILE")
        assert variable in known or variable.startswith("TEMPORAL_")


def test_the_others_are_pinned_and_reach_no_further_than_this_machine() -> None:
    """By version; a tag that moves would be another stack tomorrow."""
    for name, service in SERVICES.items():
        assert name in OURS or _PINNED.fullmatch(service["image"]), service["image"]
        assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []


def test_kafka_and_temporal_are_those_that_the_tests_run_on() -> None:
    """The same images, in the same versions."""
    assert SERVICES["kafka"]["image"] == KAFKA_IMAGE
    assert SERVICES["temporal"]["image"] == TEMPORAL_IMAGE


def test_what_is_mounted_is_there() -> None:
    """Read only; the rest are volumes that are declared."""
    for path in _mounted():
        assert (FILE.parent / path).is_file(), path
    used = {one.partition(":")[0] for service in SERVICES.values() for one in service.get("volumes", [])}
    assert {one for one in used if not one.startswith(".")} == set(COMPOSE["volumes"])


def test_secrets_are_made_as_the_page_says_and_never_committed() -> None:
    """By its own commands, into a folder that git does not see."""
    page = (PROJECT / "docs" / "compose.md").read_text()
    ignored = (PROJECT / ".gitignore").read_text().splitlines()
    for secret in COMPOSE["secrets"].values():
        assert f"> deploy/{secret['file']}\n" in page
        assert f"deploy/{Path(secret['file']).parent}/" in ignored


def test_nothing_starts_before_what_it_needs() -> None:
    """The worker waits for topics and namespace, these for Kafka and Temporal to be healthy."""
    waits = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    assert set(waits["worker"]) == {"topics", "namespace", "mailpit"}
    assert waits["topics"] == {"kafka": {"condition": "service_healthy"}}
    assert waits["namespace"] == {"temporal": {"condition": "service_healthy"}}
    assert {name for needs in waits.values() for name in needs} <= set(SERVICES)


def test_prometheus_looks_where_the_worker_answers() -> None:
    """Under the job's name that the alerts go by."""
    config = yaml.safe_load((FILE.parent / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["worker:8080"]}]
    assert f'job="{job["job_name"]}"' in (FILE.parents[1] / "prometheus" / "alerts.yml").read_text()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_itself_takes_it(tmp_path: Path) -> None:
    """With all that is merged and filled in."""
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
