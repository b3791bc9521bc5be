"""A real Kubernetes API server takes what the chart makes. It needs no node.

``SIGNIN_TEST_KUBECONFIG`` names a kubeconfig of its administrator.
Each test has a namespace of its own, which enforces the restricted Pod Security Standard. The operators' resources are
defined by the schemas in ``tests/deploy/crds``, unless the cluster has them.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import yaml

from deploy.local.places import PROJECT
from tests.deploy.chart import CHART, EXAMPLES, FOLDER, IMAGE, Chart, Manifest, of_kind, pod, values_file
from tests.docs.documents import blocks

_LABELS: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
pytestmark = pytest.mark.timeout(300)  # a server that has just started is slow

_OLDER: Final = f"registry.example/team/signin-worker@sha256:{'0' * 64}"
_RELEASE: Final = "sha-abababababab"
_OLDER_RELEASE: Final = "sha-000000000000"

# Without nodes, no roll-out ends and no pod runs a command: kubectl answers these two itself.
_KUBECTL: Final = """\
#!/bin/sh
case "$1" in
    rollout | exec) exit 0 ;;
    *) exec {kubectl} "$@" ;;
esac
"""


class Api:
    """A namespace on the server, for ``kubectl`` and ``helm``."""

    def __init__(self, kubeconfig: Path, namespace: str, helm: Path) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.program = helm

    def kubectl(self, *arguments: str, given: Any = None) -> "subprocess.CompletedProcess[str]":
        """Run kubectl, with a manifest as its input."""
        return self._run(["kubectl", *arguments, "--namespace", self.namespace], json.dumps(given))

    def helm(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run the real Helm."""
        return self._run([self.program, *arguments, "--namespace", self.namespace], "")

    def deployments(self) -> dict[str, str]:
        """Return the role of each release, as the server has it."""
        listed = json.loads(self.kubectl("get", "deployments", "--output", "json").stdout)["items"]
        return {
            each["metadata"]["labels"]["app.kubernetes.io/version"]: pod(each)["containers"][0]["args"][2]
            for each in listed
        }

    def _run(self, command: list[str | Path], given: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            command, env=environment, input=given, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def kubeconfig() -> Path:
    """Return the kubeconfig of a server that answers."""
    named = os.environ.get("SIGNIN_TEST_KUBECONFIG")
    if not named or shutil.which("kubectl") is None:
        pytest.skip("SIGNIN_TEST_KUBECONFIG names no API server, or kubectl is missing; the CI job chart has both")
    return Path(named)


@pytest.fixture(scope="module")
def server(kubeconfig: Path, helm: Path) -> Api:
    """Return the server with the operators' resources defined."""
    server = Api(kubeconfig, "default", helm)
    definitions = _definitions()
    server.kubectl("create", "--filename", "-", given=_list(definitions))  # fails for those that the cluster has

    names = [f"crd/{each['metadata']['name']}" for each in definitions]
    waited = server.kubectl("wait", "--for", "condition=Established", "--timeout", "30s", *names)
    assert waited.returncode == 0, waited.stderr

    return server


@pytest.fixture
def api(server: Api) -> Iterator[Api]:
    """Return a namespace of one's own."""
    api = Api(server.kubeconfig, f"chart-{uuid4().hex[:8]}", server.program)
    named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": api.namespace, "labels": _LABELS}}
    created = api.kubectl("create", "--filename", "-", given=named)
    assert created.returncode == 0, created.stderr
    yield api
    api.kubectl("delete", "namespace", api.namespace, "--wait=false")


def _list(items: list[Manifest]) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _definitions() -> list[Manifest]:
    files = sorted((PROJECT / "tests" / "deploy" / "crds").glob("*.json"))
    return [_definition(**json.loads(file.read_text())) for file in files]


def _definition(apiVersion: str, kind: str, schema: Any) -> Manifest:
    group, version = apiVersion.split("/")
    plural = f"{kind.lower()}s"
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}

    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [served],
        },
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_server_takes_an_installation(api: Api, name: str) -> None:
    """``helm upgrade --install`` succeeds without a warning, and again with nothing to change."""
    for _ in range(2):
        done = api.helm("upgrade", "--install", "signin-worker", CHART, "--values", values_file(name))
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr


@pytest.mark.parametrize("name", EXAMPLES)
def test_pod_security_admits_every_pod(api: Api, chart: Chart, name: str) -> None:
    """The pods of all Deployments and Jobs pass the admission of a namespace that enforces ``restricted``."""
    manifests = chart.render(name)
    _prepare(api)

    for workload in [*of_kind(manifests, "Deployment"), *of_kind(manifests, "Job")]:
        created = _create_pod(api, pod(workload))
        assert created.returncode == 0, created.stderr


def test_pod_security_is_enforced(api: Api, chart: Chart) -> None:
    """The check itself works: a pod that may run as root is not admitted."""
    (deployment,) = of_kind(chart.render("minimal"), "Deployment")
    bad = pod(deployment) | {"securityContext": {}}
    _prepare(api)

    created = _create_pod(api, bad)
    assert created.returncode != 0
    assert 'violates PodSecurity "restricted' in created.stderr


def _prepare(api: Api) -> None:
    """Make what the pods refer to and no controller makes here."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "signin-worker"}}
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1}
    api.kubectl("create", "--filename", "-", given=_list([account, high]))


def _create_pod(api: Api, spec: Manifest) -> "subprocess.CompletedProcess[str]":
    named = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "probe-"}, "spec": spec}
    return api.kubectl("create", "--dry-run=server", "--filename", "-", given=named)


def test_the_roll_out_role_suffices(api: Api) -> None:
    """The account of docs/kubernetes.md may do all that the roll-out does, and cannot leave its namespace."""
    (role,) = [each for each in _blocks() if each.get("kind") == "Role"]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "roll-out"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "roll-out"},
        "subjects": [{"kind": "User", "name": "roll-out", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    created = api.kubectl("create", "--filename", "-", given=_list([role, binding]))
    assert created.returncode == 0, created.stderr

    values = f"{values_file('minimal')},{FOLDER / 'production.yaml'}"
    done = api.helm("upgrade", "--install", "signin-worker", CHART, "--values", values, "--kube-as-user", "roll-out")
    assert done.returncode == 0, done.stderr
    assert api.kubectl("auth", "can-i", "create", "pods", "--subresource", "exec", "--as", "roll-out").returncode == 0
    assert api.kubectl("auth", "can-i", "list", "nodes", "--as", "roll-out").returncode != 0


def _blocks() -> list[Manifest]:
    return [yaml.safe_load(block.text) for block in blocks(PROJECT / "docs" / "kubernetes.md", "yaml")]


def test_a_release_is_rolled_out_and_back(api: Api, helm: Path, tmp_path: Path) -> None:
    """The script reads what runs from the server, and leaves what docs/upgrading.md says. Only readiness is made up."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").write_text(_KUBECTL.format(kubectl=shutil.which("kubectl")))
    (programs / "kubectl").chmod(0o755)
    (programs / "helm").symlink_to(helm)

    def roll_out(image: str, **more: str) -> None:
        environment = {
            "PATH": f"{programs}{os.pathsep}{os.defpath}",
            "HOME": str(tmp_path),
            "KUBECONFIG_CONTENT": api.kubeconfig.read_text(),
            "NAMESPACE": api.namespace,
            "ENVIRONMENT": "production",
            "IMAGE": image,
            **more,
        }
        script = [FOLDER / "roll-out.sh"]
        done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr

    roll_out(_OLDER)
    assert api.deployments() == {_OLDER_RELEASE: "all"}
    roll_out(IMAGE, RAMP="10")
    assert api.deployments() == {_OLDER_RELEASE: "all", _RELEASE: "worker"}
    roll_out(IMAGE)
    assert api.deployments() == {_OLDER_RELEASE: "worker", _RELEASE: "all"}
    roll_out(_OLDER)
    assert api.deployments() == {_OLDER_RELEASE: "all", _RELEASE: "worker"}
