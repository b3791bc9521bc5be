"""What the chart makes fits the worker: its settings, user, endpoints and shutdown."""

import re
import tomllib
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from temporalio.envconfig import ClientConfig

from deploy.local.places import PROJECT
from tests.deploy.chart import (
    CHART,
    ENVIRONMENTS,
    EXAMPLES,
    IMAGE,
    Chart,
    Manifest,
    container,
    environment,
    of_kind,
    only,
    pod,
)
from tests.docs.chart_schema import TEMPORAL
from utils.endpoints import build_app
from utils.settings.loading import load_settings

_PROMISED_STOP_S: Final = 30  # CONTRACT: "stops cleanly on SIGTERM within 30 s"
_SECRETS: Final = "/run/secrets/signin-worker"
_KEY: Final = b64encode(bytes(32)).decode()
_CONTENTS: Final = {"keys-account": _KEY, "keys-code": f"k1:{_KEY}", "keys-payload": f"k1:{_KEY}"}
_LABELS: Final = {"app.kubernetes.io/name": "signin-worker", "app.kubernetes.io/instance": "signin-worker"}

every_set_of_values = pytest.mark.parametrize("name", [*ENVIRONMENTS, *EXAMPLES])


def _in_the_dockerfile(pattern: str) -> str:
    found = re.search(pattern, (PROJECT / "deploy" / "image" / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)


def _workloads(manifests: list[Manifest]) -> list[Manifest]:
    return [*of_kind(manifests, "Deployment"), *of_kind(manifests, "Job")]


def _role(deployment: Manifest) -> str:
    return str(container(deployment)["args"][2])


@every_set_of_values
def test_lint_finds_nothing(chart: Chart, name: str) -> None:
    """``helm lint --strict`` accepts the chart and the values."""
    done = chart.run("lint", name)
    assert done.returncode == 0, done.stdout


@every_set_of_values
def test_the_worker_starts_with_these_settings(chart: Chart, name: str, tmp_path: Path) -> None:
    """With its Secret mounted, the settings of each workload meet production's rules and cause no warning."""
    for workload in _workloads(chart.render(name)):
        environ = {}
        for variable, value in environment(workload).items():
            if value.startswith("/run/secrets/"):
                file = tmp_path / Path(value).name
                file.write_text(_CONTENTS.get(file.name, "some secret"))
                value = str(file)
            environ[variable] = value

        warnings: list[str] = []
        settings = load_settings(environ, warnings.append)

        assert (settings.environment, warnings) == ("production", [])
        assert settings.keys.account.get_secret_value() == bytes(32)


def test_a_large_number_stays_a_number(chart: Chart) -> None:
    """To Helm, every number is a float, and 16777216 would become 1.6777216e+07."""
    variables = environment(of_kind(chart.render("everything"), "Deployment")[0])

    assert variables["SIGNIN_CONSUMER__MAX_IN_FLIGHT_BYTES"] == "16777216"
    assert variables["SIGNIN_DEAD_LETTERS__BREAKER_SHARE"] == "0.9"


def test_null_removes_a_default(chart: Chart) -> None:
    """A default setting, or a secret that is not needed, can be removed."""
    changes = {"settings": {"SIGNIN_SMTP__USERNAME": None}, "secret": {"files": {"SIGNIN_SMTP__PASSWORD": None}}}
    variables = environment(only(chart.render("minimal", changes), "Deployment"))

    assert "TEMPORAL_TLS" in variables
    assert [each for each in variables if "SMTP__USERNAME" in each or "SMTP__PASSWORD" in each] == []


def test_temporal_variables_have_an_effect(tmp_path: Path) -> None:
    """Each of Temporal's variables in the schema changes the client's configuration; a misspelt one would not."""
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('[profile.other]\naddress = "other:7233"\n')
    values = {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION": "true", "TEMPORAL_PROFILE": "other"}
    client = {"TEMPORAL_TLS_CLIENT_CERT_PATH": str(profiles), "TEMPORAL_TLS_CLIENT_KEY_PATH": str(profiles)}

    for name in TEMPORAL:
        base = {"TEMPORAL_CONFIG_FILE": str(profiles)} if name == "TEMPORAL_PROFILE" else {}
        ours = {name: values.get(name, str(profiles))} | (client if name in client else {})
        if name == "TEMPORAL_CONFIG_FILE":
            base = {"TEMPORAL_PROFILE": "other"}
        assert _configured(base | ours) != _configured({}), name


def _configured(variables: dict[str, str]) -> Any:
    try:
        return ClientConfig.load_client_connect_config(override_env_vars=variables)
    except RuntimeError as error:
        return str(error)


@every_set_of_values
def test_the_network_policy_allows_what_the_settings_need(chart: Chart, name: str) -> None:
    """Egress is allowed to DNS, Turnstile, Kafka, Temporal, the mail server and the OTLP collector alone."""
    manifests = chart.render(name)
    settings = environment(of_kind(manifests, "Deployment")[0])
    needed = {53, 443, int(settings.get("SIGNIN_SMTP__PORT", "587")), _port(settings["TEMPORAL_ADDRESS"])}
    needed |= {_port(address) for address in settings["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"].split(",")}
    if collector := settings.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        needed.add(_port(collector))

    rules = only(manifests, "NetworkPolicy")["spec"]["egress"][:2]
    assert {each["port"] for rule in rules for each in rule["ports"]} == needed


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://collector:4318", 4318),
        ("http://collector.monitoring:4317/", 4317),
        ("https://otlp.example.com/v1", 443),
        ("http://otlp.example.com", 80),
    ],
)
def test_the_collectors_port_is_read_from_its_url(chart: Chart, endpoint: str, port: int) -> None:
    """With a path, and without a port, too."""
    changes = {"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}}
    rules = only(chart.render("minimal", changes), "NetworkPolicy")["spec"]["egress"]
    assert port in {each["port"] for each in rules[1]["ports"]}


@every_set_of_values
def test_every_file_that_is_named_is_mounted(chart: Chart, name: str) -> None:
    """Secrets are files, readable for the image's group only; a variable names a key of a mounted Secret."""
    for workload in _workloads(chart.render(name)):
        mounts = {each["mountPath"]: each["name"] for each in container(workload)["volumeMounts"]}
        volumes = {each["name"]: each for each in pod(workload)["volumes"]}
        files = [Path(value) for value in environment(workload).values() if value.startswith("/run/secrets/")]

        for file in files:
            secret = volumes[mounts[str(file.parent)]]["secret"]
            assert secret["defaultMode"] == 0o440
            assert [each["path"] for each in secret.get("items", [])] in ([], [file.name])
        assert all(each.get("readOnly") for each in container(workload)["volumeMounts"])


def test_the_grace_period_suffices_to_stop(chart: Chart) -> None:
    """Kubernetes waits longer than the worker takes to stop."""
    for deployment in of_kind(chart.render("everything"), "Deployment"):
        assert pod(deployment)["terminationGracePeriodSeconds"] > _PROMISED_STOP_S


@every_set_of_values
def test_pods_run_as_the_images_user(chart: Chart, name: str) -> None:
    """The user and the group are those that own the worker's files in the image."""
    user = int(_in_the_dockerfile(r"^USER (\d+):\1$"))
    for workload in _workloads(chart.render(name)):
        context = pod(workload)["securityContext"]
        assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {user}


def test_probes_use_paths_that_the_worker_serves(chart: Chart) -> None:
    """The worker serves the paths of the probes on the port that the image listens on."""
    manifests = chart.render("minimal")
    worker = container(only(manifests, "Deployment"))
    (port,) = worker["ports"]
    served = {getattr(route, "path", "") for route in build_app(list, bytes).routes}
    probes = [worker[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]

    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    assert {probe["path"] for probe in probes} < served
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert only(manifests, "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert port["containerPort"] == int(_in_the_dockerfile(r"SIGNIN_HTTP__PORT=(\d+)"))


def test_joint_pods_read_and_serve(chart: Chart) -> None:
    """A release that reads has one Deployment with the role ``all``; one that does not, with the role ``worker``."""
    assert _role(only(chart.render("minimal"), "Deployment")) == "all"

    changes = {"releases": {"first": {"image": IMAGE, "reads": False}}}
    assert _role(only(chart.render("minimal", changes), "Deployment")) == "worker"


def test_split_releases_have_a_deployment_for_each_role(chart: Chart) -> None:
    """Only the release that reads has a consumer, with its own number of pods."""
    deployments = of_kind(chart.render("everything"), "Deployment")
    roles = sorted((each["metadata"]["name"].removeprefix("signin-worker-"), _role(each)) for each in deployments)

    assert roles == [
        ("sha-000000000000", "worker"),
        ("sha-000000000000-consumer", "consumer"),
        ("sha-111111111111", "worker"),
        ("sha-222222222222", "worker"),
    ]


def test_releases_run_side_by_side(chart: Chart) -> None:
    """Each has a Deployment, a label and a build id of its own, and selects its own pods only."""
    workers = [each for each in of_kind(chart.render("everything"), "Deployment") if _role(each) == "worker"]
    assert len(workers) == 3

    for deployment in workers:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selected = deployment["spec"]["selector"]["matchLabels"]
        release = labels["app.kubernetes.io/version"]

        assert selected.items() <= labels.items()
        assert selected["app.kubernetes.io/version"] == release
        assert deployment["metadata"]["name"] == f"signin-worker-{release}"
        assert environment(deployment)["SIGNIN_TEMPORAL__BUILD_ID"] == release
        assert environment(deployment)["SIGNIN_TEMPORAL__DEPLOYMENT"] == "signin-worker"


def test_without_a_worker_deployment_one_release_replaces_the_other(chart: Chart) -> None:
    """All pods of the old release stop before the new one starts: the name and the selector stay the same."""
    changes = [{"deployment": "", "releases": {name: {"image": IMAGE, "reads": True}}} for name in ("old", "new")]
    one, two = (only(chart.render("production", each), "Deployment") for each in changes)

    assert one["spec"]["strategy"] == {"type": "Recreate"}
    assert one["metadata"]["name"] == two["metadata"]["name"] == "signin-worker"
    assert one["spec"]["selector"] == two["spec"]["selector"]
    assert "SIGNIN_TEMPORAL__DEPLOYMENT" not in environment(one)


def test_every_selector_selects_what_it_is_for(chart: Chart) -> None:
    """Deployments, budgets, spread and the Service select pods of their component; the network policy, all pods."""
    manifests = chart.render("everything")
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in _workloads(manifests)]

    assert only(manifests, "NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": _LABELS}
    assert all(labels.items() >= _LABELS.items() for labels in pods)
    assert only(manifests, "Service")["spec"]["selector"] == _LABELS | {"app.kubernetes.io/component": "worker"}

    budgets = {
        each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for each in of_kind(manifests, "PodDisruptionBudget")
    }
    assert budgets == {"worker", "consumer"}
    for deployment in of_kind(manifests, "Deployment"):
        component = deployment["metadata"]["labels"]["app.kubernetes.io/component"]
        for constraint in pod(deployment)["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"] == _LABELS | {"app.kubernetes.io/component": component}


def test_a_job_is_named_by_what_it_does(chart: Chart) -> None:
    """A Job cannot be changed: one with another command or image has another name, one that is the same keeps it."""
    same = {each["metadata"]["name"] for each in of_kind(chart.render("minimal"), "Job")}
    again = {each["metadata"]["name"] for each in of_kind(chart.render("minimal", {"replicas": 5}), "Job")}
    other = chart.render("minimal", {"setup": {"topics": {"partitions": 12}, "namespace": {"enabled": False}}})

    assert len(same) == 2
    assert again == same
    assert not same & {each["metadata"]["name"] for each in of_kind(other, "Job")}


def test_requests_fit_what_was_measured(chart: Chart) -> None:
    """The request of memory holds the most that was measured, and the limit half as much again at least."""
    measured = [float(each) for each in re.findall(r"worker's MiB with [\d,]+ ([\d.]+)", _performance())]
    resources = container(only(chart.render("minimal"), "Deployment"))["resources"]
    requested, limit = (int(resources[kind]["memory"].removesuffix("Mi")) for kind in ("requests", "limits"))

    assert len(measured) > 10
    assert max(measured) < requested
    assert max(measured) * 1.5 <= limit
    assert "cpu" not in resources["limits"]


def _performance() -> str:
    return (PROJECT / "docs" / "performance.md").read_text()


def test_the_chart_has_the_projects_version() -> None:
    """The chart, the image that it names and the package have one version."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert (about["version"], about["appVersion"]) == (version, version)
