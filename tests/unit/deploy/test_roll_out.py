"""A release is rolled out beside the one that runs. The script is real; kubectl is a fake that records its calls."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.local.places import PROJECT

_IMAGE: Final = f"registry.example/team/signin-worker@sha256:{'ab' * 32}"
_RELEASE: Final = "sha-abababababab"
_PLACEHOLDER: Final = "image: signin-worker:set-by-roll-out"
_KUBECTL: Final = """\
#!{python}
import json, os, pathlib, stat, sys

arguments = sys.argv[1:]
folder = pathlib.Path({folder!r})
kubeconfig = pathlib.Path(os.environ["KUBECONFIG"])
call = {{
    "arguments": arguments,
    "kubeconfig": kubeconfig.read_text(),
    "path": str(kubeconfig),
    "mode": stat.S_IMODE(kubeconfig.stat().st_mode),
}}
match arguments[0]:
    case "kustomize":
        print((pathlib.Path(arguments[1]).parent / "base" / "deployment.yaml").read_text())
    case "get" if "deployments" in arguments:
        print((folder / "deployments").read_text(), end="")
    case "get":
        name = "revision" if "revision" in arguments[-3] else "role"
        print((folder / name).read_text(), end="")
    case "apply":
        call["manifests"] = sys.stdin.read()
    case "exec" if "drained" in arguments:
        print((folder / "drained").read_text(), end="")
with (folder / "calls").open("a") as calls:
    print(json.dumps(call), file=calls)
if arguments[:2] == ["rollout", "status"]:
    answers = (folder / "status").read_text().split()
    (folder / "status").write_text(" ".join(answers[1:] or answers))
    sys.exit(int(answers[0]))
"""


@dataclass
class Cluster:
    """The folder of the fake kubectl: what it will answer, and how it was called."""

    folder: Path

    def becomes_ready(self, *answers: bool) -> None:
        """Make roll-outs succeed or time out, one after the other; the last answer counts for all others."""
        (self.folder / "status").write_text(" ".join("0" if yes else "1" for yes in answers))

    def holds(self, *, revision: str = "", role: str = "", others: str = "", drained: str = "") -> None:
        """Set the release's own deployment before the roll-out, the list of all, and which releases are drained."""
        answers = {"revision": revision, "role": role, "deployments": others, "drained": drained}
        for name, answer in answers.items():
            (self.folder / name).write_text(answer)

    @property
    def calls(self) -> list[Any]:
        """The calls of kubectl, in order."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def verbs(self) -> list[str]:
        """What was done, in order: the subcommands, without questions, and those of ``signin-worker release``."""
        named = [_verb(call["arguments"]) for call in self.calls]
        return [verb for verb in named if verb != "get"]

    @property
    def roles(self) -> list[str]:
        """The roles in which the release was applied."""
        applied = [call["manifests"] for call in self.calls if "manifests" in call]
        return [re.findall(r"--role, ([a-z-]+)", manifests)[0] for manifests in applied]

    def roll_out(self, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run the script with changed variables. An empty value unsets one."""
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.defpath}",
            "KUBECONFIG_CONTENT": "permissions in one namespace",
            "NAMESPACE": "sign-in",
            "ENVIRONMENT": "staging",
            "IMAGE": _IMAGE,
            **changes,
        }
        script = PROJECT / "deploy" / "kubernetes" / "roll-out.sh"
        return subprocess.run([script], env=environment, capture_output=True, text=True, timeout=60, check=False)


def _verb(arguments: list[str]) -> str:
    match arguments:
        case ["exec", *_]:
            return arguments[arguments.index("release") + 1]
        case ["rollout", verb, *_]:
            return verb
        case _:
            return arguments[0]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Return a cluster without a release, where roll-outs succeed."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(_KUBECTL.format(python=sys.executable, folder=str(tmp_path)))
    kubectl.chmod(0o755)
    cluster = Cluster(tmp_path)
    cluster.becomes_ready(True)
    cluster.holds()

    return cluster


def test_a_release_serves_mailboxes_before_it_reads_events(cluster: Cluster) -> None:
    """It becomes ready as a worker, is promoted, and only then reads. Whatever it had read would stay with it."""
    done = cluster.roll_out()

    assert done.returncode == 0, done.stderr
    assert cluster.verbs == ["kustomize", "apply", "status", "promote", "apply", "status", "drained"]
    assert cluster.roles == ["worker", "all"]
    assert all("sign-in" in call["arguments"] for call in cluster.calls[1:])


def test_the_image_and_its_release_are_filled_in(cluster: Cluster) -> None:
    """The release is named by the image's digest; nothing is left to be set."""
    cluster.roll_out()
    manifests = next(call["manifests"] for call in cluster.calls if "manifests" in call)
    original = (PROJECT / "deploy" / "kubernetes" / "base" / "deployment.yaml").read_text()

    assert cluster.calls[0]["arguments"][1].endswith("deploy/kubernetes/staging")
    assert original.count(_PLACEHOLDER) == 1
    assert f"image: {_IMAGE}" in manifests
    assert f"name: signin-worker-{_RELEASE}\n" in manifests
    assert f"value: {_RELEASE}\n" in manifests
    assert "set-by-roll-out" not in manifests.split("image:")[0]


def test_a_release_is_never_a_number(cluster: Cluster) -> None:
    """A digest may begin with twelve digits, or look like 12e45: labels and environment variables are strings."""
    cluster.roll_out(IMAGE=f"registry.example/signin-worker@sha256:{'12' * 32}")
    manifests = next(call["manifests"] for call in cluster.calls if "manifests" in call)
    deployment = yaml.safe_load(manifests)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert deployment["metadata"]["labels"]["app.kubernetes.io/version"] == "sha-121212121212"
    assert container["env"][0]["value"] == "sha-121212121212"


def test_older_releases_read_no_more_and_go_when_they_are_drained(cluster: Cluster) -> None:
    """They serve their mailboxes until then. The release itself and those that are workers already stay as they are."""
    others = f"signin-worker-{_RELEASE} all\nsignin-worker-older all\nsignin-worker-oldest worker\n"
    cluster.holds(others=others, drained="oldest\n")
    assert cluster.roll_out().returncode == 0

    (patch,) = [call["arguments"] for call in cluster.calls if call["arguments"][0] == "patch"]
    (delete,) = [call["arguments"] for call in cluster.calls if call["arguments"][0] == "delete"]

    assert patch[1] == "deployment/signin-worker-older"
    assert '"value": "worker"' in patch[-3]
    assert delete[1] == "deployment/signin-worker-oldest"


def test_a_ramp_stops_before_the_release_reads_events(cluster: Cluster) -> None:
    """A share of the mailboxes moves; the same call without RAMP finishes."""
    assert cluster.roll_out(RAMP="10").returncode == 0
    assert cluster.verbs == ["kustomize", "apply", "status", "ramp"]
    assert cluster.calls[-1]["arguments"][-1] == "10"


def test_a_new_release_that_does_not_become_ready_is_removed(cluster: Cluster) -> None:
    """Nothing belongs to it yet. Its log is shown, and the script exits with 1."""
    cluster.becomes_ready(False)
    assert cluster.roll_out().returncode == 1
    assert cluster.verbs == ["kustomize", "apply", "status", "logs", "delete"]


def test_going_back_is_a_roll_out_of_the_previous_image(cluster: Cluster) -> None:
    """Its deployment still serves mailboxes; it is promoted, and reads again."""
    cluster.holds(revision="7", role="worker", others="signin-worker-bad all\n")
    assert cluster.roll_out().returncode == 0
    assert cluster.verbs == ["kustomize", "apply", "status", "promote", "apply", "status", "patch", "drained"]
    assert cluster.roles == ["worker", "all"]


def test_new_settings_for_the_running_release_go_back_if_it_does_not_become_ready(cluster: Cluster) -> None:
    """It keeps its role meanwhile. The revision that ran before is restored by its number."""
    cluster.holds(revision="7", role="all")
    cluster.becomes_ready(False)
    assert cluster.roll_out().returncode == 1
    assert cluster.verbs == ["kustomize", "promote", "apply", "status", "undo"]
    assert cluster.roles == ["all"]
    assert cluster.calls[-1]["arguments"][-4:-2] == ["--to-revision", "7"]


def test_a_release_that_cannot_read_goes_on_serving_mailboxes(cluster: Cluster) -> None:
    """If it becomes ready as a worker only, the older release goes on reading."""
    cluster.holds(revision="1", others="signin-worker-older all\n")
    cluster.becomes_ready(True, False)
    assert cluster.roll_out().returncode == 1
    assert cluster.verbs[-2:] == ["status", "undo"]
    assert "patch" not in cluster.verbs


@pytest.mark.parametrize("ramp", ["0", "100", "ten"])
def test_a_ramp_is_a_percentage(cluster: Cluster, ramp: str) -> None:
    """Anything else is refused, and nothing is called."""
    done = cluster.roll_out(RAMP=ramp)
    assert (done.returncode, cluster.calls) == (64, [])


def test_the_kubeconfig_is_private_and_removed(cluster: Cluster) -> None:
    """The kubeconfig is a file with mode 600, which is removed afterwards."""
    cluster.roll_out()
    assert {(call["kubeconfig"], call["mode"]) for call in cluster.calls} == {("permissions in one namespace", 0o600)}
    assert not Path(cluster.calls[0]["path"]).exists()


@pytest.mark.parametrize("name", ["KUBECONFIG_CONTENT", "NAMESPACE", "ENVIRONMENT", "IMAGE"])
def test_a_missing_variable_is_named(cluster: Cluster, name: str) -> None:
    """Without one of its variables, the script names it and calls nothing."""
    done = cluster.roll_out(**{name: ""})
    assert done.returncode != 0
    assert name in done.stderr
    assert cluster.calls == []


@pytest.mark.parametrize("image", ["registry.example/signin-worker:1.2.3", f"x@sha256:{'ab' * 31}", f"{_IMAGE}; x"])
def test_an_image_without_a_digest_is_refused(cluster: Cluster, image: str) -> None:
    """The image must be named by its digest, because a tag can be moved."""
    done = cluster.roll_out(IMAGE=image)
    assert (done.returncode, cluster.calls) == (64, [])
    assert "digest" in done.stderr
