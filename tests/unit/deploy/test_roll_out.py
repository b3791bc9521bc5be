"""A roll-out becomes ready or is rolled back. The script is real; kubectl is a fake that records its calls."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.local.places import PROJECT

_IMAGE: Final = f"registry.example/team/signin-worker@sha256:{'ab' * 32}"
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
    case "get":
        print((folder / "revision").read_text(), end="")
    case "apply":
        call["manifests"] = sys.stdin.read()
with (folder / "calls").open("a") as calls:
    print(json.dumps(call), file=calls)
if arguments[:2] == ["rollout", "status"]:
    sys.exit(int((folder / "status").read_text()))
"""


@dataclass
class Cluster:
    """The folder of the fake kubectl: what it will answer, and how it was called."""

    folder: Path

    def becomes_ready(self, yes: bool) -> None:
        """Make roll-outs succeed or time out."""
        (self.folder / "status").write_text("0" if yes else "1")

    def holds_revision(self, revision: str) -> None:
        """Set the revision that runs before the roll-out. Empty means that nothing runs."""
        (self.folder / "revision").write_text(revision)

    @property
    def calls(self) -> list[Any]:
        """The calls of kubectl, in order."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def verbs(self) -> list[str]:
        """The subcommands that were called, in order."""
        return [call["arguments"][0 if call["arguments"][0] != "rollout" else 1] for call in self.calls]

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


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Return a cluster that runs revision 7 and where roll-outs succeed."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(_KUBECTL.format(python=sys.executable, folder=str(tmp_path)))
    kubectl.chmod(0o755)
    cluster = Cluster(tmp_path)
    cluster.becomes_ready(True)
    cluster.holds_revision("7")

    return cluster


def test_an_image_that_becomes_ready_is_kept(cluster: Cluster) -> None:
    """The environment's manifests are applied with the image filled in, and nothing is rolled back."""
    done = cluster.roll_out()

    assert done.returncode == 0, done.stderr
    assert cluster.verbs == ["kustomize", "get", "apply", "status"]
    assert cluster.calls[0]["arguments"][1].endswith("deploy/kubernetes/staging")
    assert all("sign-in" in call["arguments"] for call in cluster.calls[1:])

    original = (PROJECT / "deploy" / "kubernetes" / "base" / "deployment.yaml").read_text()

    assert original.count(_PLACEHOLDER) == 1
    assert cluster.calls[2]["manifests"].strip() == original.replace(_PLACEHOLDER, f"image: {_IMAGE}").strip()


def test_an_image_that_does_not_become_ready_is_rolled_back(cluster: Cluster) -> None:
    """The revision that ran before is restored by its number, and the script exits with 1."""
    cluster.becomes_ready(False)
    assert cluster.roll_out().returncode == 1
    assert cluster.verbs[-2:] == ["status", "undo"]
    assert cluster.calls[-1]["arguments"][-2:] == ["--to-revision", "7"]


def test_a_first_roll_out_is_not_rolled_back(cluster: Cluster) -> None:
    """The script exits with 1 and leaves the failed deployment for inspection."""
    cluster.holds_revision("")
    cluster.becomes_ready(False)
    assert cluster.roll_out().returncode == 1
    assert "undo" not in cluster.verbs


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
