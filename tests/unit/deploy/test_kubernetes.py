"""The manifests fit the worker: its settings, its user, its endpoints, its way to stop."""

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
    """Return the ConfigMap of an environment: its own lines over the common ones."""
    lines = [line for part in ("base", environment) for line in _lines(_KUBERNETES / part / "settings.env")]
    return dict(line.split("=", 1) for line in lines)


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def _in_the_dockerfile(pattern: str) -> str:
    found = re.search(pattern, (PROJECT / "deploy" / "image" / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found.group(1)


def test_every_environment_is_known_here() -> None:
    """A new folder of settings is tested, too."""
    assert {file.parent.name for file in _KUBERNETES.glob("*/settings.env")} == {"base", *_ENVIRONMENTS}


@every_environment
def test_the_worker_starts_with_these_settings(environment: str, tmp_path: Path) -> None:
    """With its Secret mounted, production's rules are met, and no variable is odd or without effect."""
    for name, value in _SECRETS.items():
        (tmp_path / name).write_text(value)

    (mount,) = _container()["volumeMounts"]
    environ = {name: text.replace(mount["mountPath"], str(tmp_path)) for name, text in _settings(environment).items()}
    said: list[str] = []
    settings = load_settings(environ, said.append)

    assert (settings.environment, said) == ("production", [])
    assert settings.keys.account.get_secret_value() == bytes(32)


@every_environment
def test_temporals_variables_are_temporals(environment: str) -> None:
    """Each variable tells the client something; a name that Temporal does not know would not."""
    ours = {name: value for name, value in _settings(environment).items() if name.startswith("TEMPORAL_")}
    ours |= {variable["name"]: "some key" for variable in _container()["env"]}
    assert ours.keys() >= {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_TLS"}
    for name, value in ours.items():
        told = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={name: value})
        untold = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={})
        assert told != untold, name


@every_environment
def test_the_network_policy_lets_the_settings_work(environment: str) -> None:
    """The ports of Kafka, Temporal and the mail server may be reached, and those of DNS and Turnstile."""
    settings = _settings(environment)
    wanted = {53, 443, int(settings.get("SIGNIN_SMTP__PORT", "587")), _port(settings["TEMPORAL_ADDRESS"])}
    wanted |= {_port(address) for address in settings["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"].split(",")}
    (rule,) = _manifest("network-policy")["spec"]["egress"]
    assert all(
        any(each["port"] <= port <= each.get("endPort", each["port"]) for each in rule["ports"]) for port in wanted
    )


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_secrets_are_files_that_only_the_worker_reads() -> None:
    """All that the settings name as a file lies where the Secret is mounted, for the image's group only."""
    (mount,), (volume,) = _container()["volumeMounts"], _pod()["volumes"]
    named = {value for name, value in _settings("production").items() if name.endswith("_FILE")}
    assert named == {f"{mount['mountPath']}/{key}" for key in _SECRETS}
    assert mount["name"] == volume["name"]
    assert mount["readOnly"]
    assert volume["secret"] == {"secretName": "signin-worker", "defaultMode": 0o440}


def test_there_is_time_to_stop() -> None:
    """Kubernetes waits for longer than the worker takes to end by itself."""
    assert _pod()["terminationGracePeriodSeconds"] > _PROMISED_STOP_S


def test_the_worker_may_do_next_to_nothing() -> None:
    """It is the image's user, writes no file, has no capability, and no way to ask Kubernetes anything."""
    pod, container = _pod(), _container()
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


def test_probes_ask_what_the_worker_serves() -> None:
    """The paths are served, on the port that the image listens on."""
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


def test_each_selector_selects_the_worker_and_nothing_else() -> None:
    """An empty one would select every pod of the namespace."""
    labels = _manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels
    assert _manifest("deployment")["spec"]["selector"] == {"matchLabels": labels}
    assert _manifest("disruption-budget")["spec"]["selector"] == {"matchLabels": labels}
    assert _manifest("network-policy")["spec"]["podSelector"] == {"matchLabels": labels}
    assert _manifest("service")["spec"]["selector"] == labels

    for constraint in _pod()["topologySpreadConstraints"]:
        assert constraint["labelSelector"] == {"matchLabels": labels}


def test_all_manifests_are_applied() -> None:
    """The kustomization lists every file beside it."""
    folder = _KUBERNETES / "base"
    assert set(_manifest("kustomization")["resources"]) == {file.name for file in folder.glob("*.yaml")} - {
        "kustomization.yaml"
    }
