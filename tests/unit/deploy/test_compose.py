"""The compose file names only settings, files and services that exist, and only local ports."""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from activities.errors import ChallengeUnavailable
from activities.ports import SiteverifyAnswer
from deploy.local.places import LOOPBACK, PROJECT, free_ports
from deploy.local.processes import Child
from deploy.local.servers.containers import KAFKA_IMAGE, TEMPORAL_IMAGE
from deploy.local.servers.temporal import FEW_FSYNCS
from deploy.local.waiting import eventually
from utils.dns import DnsMailDomains
from utils.settings.environment import variables
from utils.settings.loading import load_settings
from utils.settings.model import Settings
from utils.settings.sections import SITEVERIFY_URL, TurnstileSettings
from utils.turnstile import SiteverifyClient

FILE = PROJECT / "deploy" / "compose" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
WORKERS = [name for name in OURS if name != "siteverify"]
OFFLINE = FILE.with_name("offline.env")
OWNED_BY_THE_IMAGES_USER = {
    "kafka": "/var/lib/kafka/data",
    "temporal": "/home/temporal",
    "prometheus": "/prometheus",
}
QUIET = {
    "mailpit": {"MP_DISABLE_VERSION_CHECK": "true", "MP_SMTP_DISABLE_RDNS": "true"},
    "grafana": {
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
    },
}
_PINNED = re.compile(r"[a-z/-]+:v?\d+(\.\d+)+")


def test_services_of_the_worker_are_hardened() -> None:
    """The services of our own image cannot write, gain privileges or run as root."""
    assert OURS == ["topics", "namespace", "worker", "codec-server", "siteverify"]
    for name in OURS:
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "privileged" not in service and "user" not in service


@pytest.mark.parametrize("name", WORKERS)
def test_settings_exist(name: str) -> None:
    """The worker knows each setting, and each service gets the secrets whose files it names."""
    known = {variable.name: variable.secret for variable in variables(Settings)}
    environment = SERVICES[name]["environment"]
    for variable, value in environment.items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in SERVICES[name]["secrets"]
            variable = variable.removesuffix("_FILE")
            assert known[variable], f"{variable} is no secret, so it cannot be a file"
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
    """Mounted files and folders exist and are mounted read-only; every other mount is a declared volume."""
    for path in _mounted():
        assert (FILE.parent / path).exists(), path
    used = {one.partition(":")[0] for service in SERVICES.values() for one in service.get("volumes", [])}
    assert {one for one in used if not one.startswith(".")} == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", OWNED_BY_THE_IMAGES_USER)
def test_volumes_can_be_written(name: str) -> None:
    """A new volume gets the owner of the image's folder at its place. If the image has none, root owns it."""
    (volume,) = (each for each in SERVICES[name]["volumes"] if not each.startswith("."))
    source, _, target = volume.partition(":")

    assert source == name
    assert target == OWNED_BY_THE_IMAGES_USER[name]


def test_temporals_database_is_in_its_volume() -> None:
    """The dev server writes its database into the volume, so that it survives the container."""
    command = SERVICES["temporal"]["command"]
    database = command[command.index("--db-filename") + 1]

    assert str(Path(database).parent) == OWNED_BY_THE_IMAGES_USER["temporal"]


def test_temporals_database_waits_for_the_disk_as_seldom_as_in_the_tests() -> None:
    """By default each transaction waits for the disk three times, and people for their mail."""
    command = SERVICES["temporal"]["command"]
    assert tuple(command[command.index(FEW_FSYNCS[0]) :][: len(FEW_FSYNCS)]) == FEW_FSYNCS


@pytest.mark.parametrize("name", QUIET)
def test_other_images_call_nobody(name: str) -> None:
    """Reports of use, checks for updates, news and plugins are switched off."""
    assert QUIET[name].items() <= SERVICES[name]["environment"].items()


def test_temporals_web_ui_fetches_no_news() -> None:
    """The dev server's web UI asks nobody for news."""
    assert "--ui-disable-news-fetch" in SERVICES["temporal"]["command"]


def test_the_worker_asks_cloudflare_unless_it_is_told_otherwise() -> None:
    """The URL of siteverify is Cloudflare's by default, and the local server's with the variables for offline use."""
    name = "SIGNIN_TURNSTILE__URL"
    offline = _offline()[name]
    siteverify = SERVICES["siteverify"]
    port = siteverify["command"][siteverify["command"].index("--port") + 1]

    assert SERVICES["worker"]["environment"][name] == f"${{{name}:-{SITEVERIFY_URL}}}"
    assert siteverify["profiles"] == ["offline"]
    assert offline == f"http://siteverify:{port}/siteverify"


async def test_without_a_way_out_any_domain_takes_mail() -> None:
    """A name server without a way out knows no domain, which would refuse everybody. So none is asked."""
    name = "SIGNIN_DNS__NAMESERVERS"
    assert SERVICES["worker"]["environment"][name] == f"${{{name}:-}}"

    settings = load_settings({"SIGNIN_ENVIRONMENT": "development", name: _offline()[name]})
    domains = DnsMailDomains(settings.dns.nameservers, settings.dns.port, timeout_s=0.2)

    assert await domains.accept_mail("people.example")


def test_an_empty_name_server_is_the_systems_own() -> None:
    """Without the variables for offline use, compose sets the variable to nothing."""
    assert load_settings({"SIGNIN_ENVIRONMENT": "development", "SIGNIN_DNS__NAMESERVERS": ""}).dns.nameservers == ()


async def test_the_local_siteverify_accepts_any_token() -> None:
    """Its command answers the worker's call with Cloudflare's test secret as Cloudflare does."""
    (port,) = free_ports(1)
    _, *program = SERVICES["siteverify"]["entrypoint"]
    process = Child("siteverify", grace_s=5)
    verifier = SiteverifyClient(f"http://{LOOPBACK}:{port}/siteverify", TurnstileSettings().secret.get_secret_value())

    async def answer() -> SiteverifyAnswer | None:
        with contextlib.suppress(ChallengeUnavailable):
            return await verifier.siteverify(token="any", ip=None, idempotency_key="key")
        return None

    try:
        process.start([sys.executable, *program, "--host", LOOPBACK, "--port", str(port)], {"PYTHONPATH": str(PROJECT)})
        verdict = await eventually(answer, "the local siteverify answers", within_s=30)
    finally:
        await verifier.close()
        process.stop()

    assert verdict.success
    assert verdict.metadata.result_with_testing_key


def test_the_page_says_what_leaves_the_machine() -> None:
    """Whoever tries the stack learns who is called, and how to call nobody."""
    page = (PROJECT / "docs" / "compose.md").read_text()

    assert "## What leaves the machine" in page
    assert str(urlsplit(SITEVERIFY_URL).hostname) in page
    assert f"--profile offline --env-file {OFFLINE.relative_to(PROJECT)}" in page


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


def test_only_what_ends_by_itself_has_no_health_check() -> None:
    """``up --wait``, as in docs/compose.md, ends with an error if a service that goes on has none."""
    disabled = {name for name, service in SERVICES.items() if service.get("healthcheck", {}).get("disable")}
    waits = SERVICES["worker"]["depends_on"].items()

    assert disabled == {name for name, wait in waits if wait["condition"] == "service_completed_successfully"}


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


def _offline() -> dict[str, str]:
    """Return the variables for offline use."""
    lines = [line for line in OFFLINE.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _mounted() -> Iterator[str]:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source, _, target = mount.partition(":")
            if source.startswith("."):
                assert target.endswith(":ro")
                yield source
