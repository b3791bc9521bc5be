"""The manifests fit the worker: its settings, user, endpoints and shutdown."""

import re
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from temporalio.envconfig import ClientConfig

from deploy.local.places import PROJECT
from utils.endpoints import build_app
from utils.settings.loading import load_settings

_KUBERNETES: Final = PROJECT / "deploy" / "kubernetes"
_ENVIRONMENTS: Final = ("production", "staging")
_PROMISED_STOP_S: Final = 30  # CONTRACT: "stops cleanly on SIGTERM within 30 s"
_KEY: Final = b64encode(bytes(32)).decode()
_SECRETS: Final = {
    "kafka-sasl-password": "for Kafka",
    "smtp-password": "for the mail server",
    "turnstile-secret": "of the widget",
    "keys-account": _KEY,
    "keys-code": f"k1:{_KEY}",
    "keys-payload": f"k1:{_KEY}",
}

every_environment = pytest.mark.parametrize("environment", _ENVIRONMENTS)


def _manifest(name: str) -> dict[str, Any]:
    manifest = yaml.safe_load((_KUBERNETES / "base" / f"{name}.yaml").read_text())
    assert isinstance(manifest, dict)
    return manifest


def _pod() -> dict[str, Any]:
    spec = _manifest("deployment")["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def _container() -> dict[str, Any]:
    (container,) = _pod()["containers"]
    assert isinstance(container, dict)
    return container


def _settings(environment: str) -> dict[str, str]:
    """Return the ConfigMap of an environment: the lines of the base, overridden by its own."""
    lines = [line for part in ("base", environment) for line in _lines(_KUBERNETES / part / "settings.env")]
    return dict(line.split("=", 1) for line in lines)


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def _in_the_dockerfile(pattern: str) -> str:
    found = re.search(pattern, (PROJECT / "deploy" / "image" / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_every_environment_is_tested() -> None:
    """The list of environments is complete."""
    assert {file.parent.name for file in _KUBERNETES.glob("*/settings.env")} == {"base", *_ENVIRONMENTS}


@every_environment
def test_the_worker_starts_with_these_settings(environment: str, tmp_path: Path) -> None:
    """With its Secret mounted, the settings meet production's rules and cause no warning."""
    for name, value in _SECRETS.items():
        (tmp_path / name).write_text(value)

    (mount,) = _container()["volumeMounts"]
    environ = {name: text.replace(mount["mountPath"], str(tmp_path)) for name, text in _settings(environment).items()}
    warnings: list[str] = []
    settings = load_settings(environ, warnings.append)

    assert (settings.environment, warnings) == ("production", [])
    assert settings.keys.account.get_secret_value() == bytes(32)


@every_environment
def test_temporal_variables_have_an_effect(environment: str) -> None:
    """Each of Temporal's variables changes the client's configuration; a misspelt one would not."""
    ours = {name: value for name, value in _settings(environment).items() if name.startswith("TEMPORAL_")}
    ours |= {variable["name"]: "some key" for variable in _container()["env"] if "valueFrom" in variable}
    assert ours.keys() >= {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_TLS"}
    for name, value in ours.items():
        configured = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={name: value})
        default = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={})
        assert configured != default, name


@every_environment
def test_the_network_policy_allows_what_the_settings_need(environment: str) -> None:
    """Egress is allowed to the ports of Kafka, Temporal, the mail server, DNS and Turnstile."""
    settings = _settings(environment)
    needed = {53, 443, int(settings.get("SIGNIN_SMTP__PORT", "587")), _port(settings["TEMPORAL_ADDRESS"])}
    needed |= {_port(address) for address in settings["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"].split(",")}
    (rule,) = _manifest("network-policy")["spec"]["egress"]
    assert all(
        any(each["port"] <= port <= each.get("endPort", each["port"]) for each in rule["ports"]) for port in needed
    )


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_secrets_are_mounted_as_files_for_the_worker_only() -> None:
    """Every file that the settings name is a key of the mounted Secret, readable for the image's group only."""
    (mount,) = _container()["volumeMounts"]
    (volume,) = _pod()["volumes"]
    named = {value for name, value in _settings("production").items() if name.endswith("_FILE")}
    assert named == {f"{mount['mountPath']}/{key}" for key in _SECRETS}
    assert mount["name"] == volume["name"]
    assert mount["readOnly"]
    assert volume["secret"] == {"secretName": "signin-worker", "defaultMode": 0o440}


def test_the_grace_period_suffices_to_stop() -> None:
    """Kubernetes waits longer than the worker takes to stop."""
    assert _pod()["terminationGracePeriodSeconds"] > _PROMISED_STOP_S


def test_the_worker_has_minimal_privileges() -> None:
    """The worker runs as the image's user, cannot write files, has no capabilities and no Kubernetes token."""
    pod = _pod()
    container = _container()
    user = int(_in_the_dockerfile(r"^USER (\d+):\1$"))

    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod["automountServiceAccountToken"]
    assert not _manifest("service-account")["automountServiceAccountToken"]


def test_probes_use_paths_that_the_worker_serves() -> None:
    """The worker serves the paths of the probes on the port that the image listens on."""
    container = _container()
    (port,) = container["ports"]
    served = {getattr(route, "path", "") for route in build_app(list, bytes).routes}
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]

    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    assert {probe["path"] for probe in probes} < served
    assert (
        {probe["port"] for probe in probes}
        == {port["name"]}
        == {_manifest("service")["spec"]["ports"][0]["targetPort"]}
    )
    assert port["containerPort"] == int(_in_the_dockerfile(r"SIGNIN_HTTP__PORT=(\d+)"))


def test_a_deployment_selects_its_own_release_only() -> None:
    """Two releases run side by side: each has a deployment, a label and a build id of its own."""
    deployment = _manifest("deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    release = labels["app.kubernetes.io/version"]
    environment = {variable["name"]: variable.get("value") for variable in _container()["env"]}

    assert deployment["spec"]["selector"] == {"matchLabels": labels}
    assert deployment["metadata"]["name"] == f"signin-worker-{release}"
    assert environment["SIGNIN_TEMPORAL__BUILD_ID"] == release
    assert _settings("production")["SIGNIN_TEMPORAL__DEPLOYMENT"]


def test_every_other_selector_selects_the_workers_of_all_releases() -> None:
    """Each selector has the worker's name; an empty one would select every pod of the namespace."""
    labels = {"app.kubernetes.io/name": "signin-worker"}
    assert labels.items() < _manifest("deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert _manifest("disruption-budget")["spec"]["selector"] == {"matchLabels": labels}
    assert _manifest("network-policy")["spec"]["podSelector"] == {"matchLabels": labels}
    assert _manifest("service")["spec"]["selector"] == labels

    for constraint in _pod()["topologySpreadConstraints"]:
        assert constraint["labelSelector"] == {"matchLabels": labels}


def test_all_manifests_are_applied() -> None:
    """The kustomization lists every manifest of its folder."""
    folder = _KUBERNETES / "base"
    assert set(_manifest("kustomization")["resources"]) == {file.name for file in folder.glob("*.yaml")} - {
        "kustomization.yaml"
    }
