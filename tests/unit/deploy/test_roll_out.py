"""A roll-out becomes ready, or is taken back. The script is real, kubectl is a stand-in that notes what it is told."""

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

arguments, folder = sys.argv[1:], pathlib.Path({folder!r})
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
    """The stand-in's folder: what it will answer, and what it was told."""

    folder: Path

    def becomes_ready(self, yes: bool) -> None:
        """Let a roll-out succeed or time out."""
        (self.folder / "status").write_text("0" if yes else "1")

    def holds_revision(self, revision: str) -> None:
        """Say what runs before the roll-out; an empty one is nothing."""
        (self.folder / "revision").write_text(revision)

    @property
    def calls(self) -> list[Any]:
        """All calls of kubectl, in order."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def verbs(self) -> list[str]:
        """What was called, in short."""
        return [call["arguments"][0 if call["arguments"][0] != "rollout" else 1] for call in self.calls]

    def roll_out(self, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run the script; an empty value takes a variable away."""
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.defpath}",
            "KUBECONFIG_CONTENT": "rights on one namespace",
            "NAMESPACE": "sign-in",
            "ENVIRONMENT": "staging",
            "IMAGE": _IMAGE,
            **changes,
        }
        script = PROJECT / "deploy" / "kubernetes" / "roll-out.sh"
        return subprocess.run([script], env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Give a cluster where all goes well and revision 7 runs."""
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(_KUBECTL.format(python=sys.executable, folder=str(tmp_path)))
    kubectl.chmod(0o755)
    cluster = Cluster(tmp_path)
    cluster.becomes_ready(True)
    cluster.holds_revision("7")

    return cluster


def test_an_image_that_becomes_ready_stays(cluster: Cluster) -> None:
    """The environment's manifests are applied, with the image in its place, and nothing is taken back."""
    done = cluster.roll_out()
    assert done.returncode == 0, done.stderr
    assert cluster.verbs == ["kustomize", "get", "apply", "status"]
    assert cluster.calls[0]["arguments"][1].endswith("deploy/kubernetes/staging")
    assert all("sign-in" in call["arguments"] for call in cluster.calls[1:])

    original = (PROJECT / "deploy" / "kubernetes" / "base" / "deployment.yaml").read_text()

    assert original.count(_PLACEHOLDER) == 1
    assert cluster.calls[2]["manifests"].strip() == original.replace(_PLACEHOLDER, f"image: {_IMAGE}").strip()


def test_an_image_that_does_not_become_ready_is_taken_back(cluster: Cluster) -> None:
    """The revision that ran before comes back, named by its number, and the script ends with 1."""
    cluster.becomes_ready(False)
    assert cluster.roll_out().returncode == 1
    assert cluster.verbs[-2:] == ["status", "undo"]
    assert cluster.calls[-1]["arguments"][-2:] == ["--to-revision", "7"]


def test_a_first_roll_out_has_nothing_to_go_back_to(cluster: Cluster) -> None:
    """It ends with 1 and leaves what there is to look at."""
    cluster.holds_revision("")
    cluster.becomes_ready(False)
    assert cluster.roll_out().returncode == 1
    assert "undo" not in cluster.verbs


def test_the_kubeconfig_is_for_this_user_only_and_goes(cluster: Cluster) -> None:
    """Kubectl reads it from a file with mode 600 that is gone afterwards."""
    cluster.roll_out()
    assert {(call["kubeconfig"], call["mode"]) for call in cluster.calls} == {("rights on one namespace", 0o600)}
    assert not Path(cluster.calls[0]["path"]).exists()


@pytest.mark.parametrize("name", ["KUBECONFIG_CONTENT", "NAMESPACE", "ENVIRONMENT", "IMAGE"])
def test_what_is_missing_is_named(cluster: Cluster, name: str) -> None:
    """Without one of its variables the script calls nothing and says which."""
    done = cluster.roll_out(**{name: ""})
    assert done.returncode != 0
    assert name in done.stderr
    assert cluster.calls == []


@pytest.mark.parametrize("image", ["registry.example/signin-worker:1.2.3", f"x@sha256:{'ab' * 31}", f"{_IMAGE}; x"])
def test_only_a_digest_names_an_image(cluster: Cluster, image: str) -> None:
    """A tag can be moved: it is refused."""
    done = cluster.roll_out(IMAGE=image)
    assert (done.returncode, cluster.calls) == (64, [])
    assert "digest" in done.stderr
