"""A cluster that the roll-out can change: kubectl and Helm are fakes, but the real Helm renders what is applied."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.chart import FOLDER, IMAGE, container, of_kind

RELEASE: Final = "sha-abababababab"

_PROGRAM: Final = """\
#!{python}
import sys
sys.path.insert(0, {project!r})
from tests.deploy.cluster import {function}
sys.exit({function}({folder!r}, {helm!r}, sys.argv[1:]))
"""


@dataclass(frozen=True)
class Deployment:
    """What runs of one release: with which image, in which role."""

    release: str
    image: str
    role: str


@dataclass
class Cluster:
    """The folder in which the fakes keep what is installed, what they will answer, and how they were called."""

    folder: Path
    helm: Path

    def __post_init__(self) -> None:
        """Put the fakes on a PATH of their own."""
        (self.folder / "bin").mkdir()
        for name, function in (("kubectl", "fake_kubectl"), ("helm", "fake_helm")):
            program = self.folder / "bin" / name
            project = str(FOLDER.parents[1])
            program.write_text(
                _PROGRAM.format(
                    python=sys.executable,
                    project=project,
                    function=function,
                    folder=str(self.folder),
                    helm=str(self.helm),
                )
            )
            program.chmod(0o755)
        self.becomes_ready(True)
        self.drains()

    def becomes_ready(self, *answers: bool) -> None:
        """Make roll-outs succeed or time out, one after the other; the last answer counts for all others."""
        _write(self.folder / "ready", list(answers))

    def drains(self, *releases: str) -> None:
        """Set which releases are drained."""
        _write(self.folder / "drained", list(releases))

    def is_busy(self, status: str, upgrades: int = 0) -> None:
        """Let another roll-out begin after so many upgrades of ours: Helm refuses the next, as it is in ``status``."""
        _write(self.folder / "busy", [status, upgrades])

    def is_rolled_out_meanwhile(self, image: str) -> None:
        """Let somebody add a release just before ours is promoted."""
        _write(self.folder / "meanwhile", image)

    def forgets_its_revisions(self) -> None:
        """Let Helm know nothing of what runs."""
        _write(self.folder / "unlisted", True)

    @property
    def calls(self) -> list[Any]:
        """The calls of both programs, in order."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def verbs(self) -> list[str]:
        """What was done, in order, without questions."""
        return [call["verb"] for call in self.calls if call["verb"] not in {"get", "list"}]

    @property
    def deployments(self) -> dict[str, Deployment]:
        """What is installed now, by release."""
        return _deployments(_installed(self.folder))

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the release under test, as they are now."""
        (found,) = [each for each in _installed(self.folder) if _release(each) == RELEASE]
        return {each["name"]: each["value"] for each in container(found)["env"]}

    def roll_out(self, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run the script with changed variables. An empty value unsets one."""
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.defpath}",
            "KUBECONFIG_CONTENT": "permissions in one namespace",
            "NAMESPACE": "sign-in",
            "ENVIRONMENT": "staging",
            "IMAGE": IMAGE,
            **changes,
        }
        script = FOLDER / "roll-out.sh"
        return subprocess.run([script], env=environment, capture_output=True, text=True, timeout=100, check=False)


def fake_kubectl(folder: str, _: str, arguments: list[str]) -> int:
    """Answer as kubectl does."""
    place = Path(folder)
    match arguments:
        case ["get", "deployments", *_, output] if output.startswith("jsonpath="):
            _record(place, "get", arguments)
            lines = (f"{each.release} {each.image} {reads}" for each, reads in _with_reads(_installed(place)))
            print("\n".join(lines))
        case ["get", "deployments", *_]:
            _record(place, "get", arguments)
            print(f"deployment.apps/signin-worker-{RELEASE}")
        case ["rollout", "status", *_]:
            _record(place, "status", arguments)
            answers = json.loads((place / "ready").read_text())
            _write(place / "ready", answers[1:] or answers)
            return 0 if answers[0] else 1
        case ["exec", *_]:
            verb = arguments[arguments.index("release") + 1]
            _record(place, verb, arguments)
            if verb == "promote" and (place / "meanwhile").exists():
                _add_release(place, json.loads((place / "meanwhile").read_text()))
            if verb == "drained":
                print("\n".join(json.loads((place / "drained").read_text())))
        case _:
            _record(place, arguments[0], arguments)

    return 0


def fake_helm(folder: str, helm: str, arguments: list[str]) -> int:
    """Answer as Helm does: each upgrade makes a revision, and a roll-back goes to one."""
    place = Path(folder)
    verb = arguments[0]
    history = _history(place)
    values = sys.stdin.read() if verb == "upgrade" else ""
    _record(place, verb, arguments)

    match verb:
        case "list":
            print(json.dumps(_listed(place, arguments)))
        case "upgrade" if _busy(place):
            print("Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress", file=sys.stderr)
            return 1
        case "upgrade":
            name, chart = arguments[1:3]
            files = arguments[arguments.index("--values") :]
            command = [helm, "template", name, chart, "--kube-version", "1.34", *files]
            done = subprocess.run(command, input=values, capture_output=True, text=True, check=False)
            print(done.stderr, file=sys.stderr)
            if done.returncode:
                return done.returncode
            _write(place / "history", [*history, _rendered(done.stdout)])
        case "rollback":
            _write(place / "history", [*history, history[int(arguments[2]) - 1]])
        case "uninstall":
            (place / "history").unlink()

    return 0


def _listed(place: Path, arguments: list[str]) -> list[dict[str, str]]:
    """Answer as Helm 3 does: without a flag for it, a revision that is under way is not listed, nor any other."""
    history = _history(place)
    if not history or (place / "unlisted").exists():
        return []

    status = _busy(place)
    flag = f"--{status.partition('-')[0]}"
    if status and flag not in arguments:
        return []
    return [{"name": "signin-worker", "revision": str(len(history)), "status": status or "deployed"}]


def _busy(place: Path) -> str:
    """Return what Helm is doing for somebody else, empty if nothing."""
    file = place / "busy"
    if not file.exists():
        return ""

    status, upgrades = json.loads(file.read_text())
    upgraded = (place / "calls").read_text().count('"verb": "upgrade"') if (place / "calls").exists() else 0
    return str(status) if upgraded > upgrades else ""


def _add_release(place: Path, image: str) -> None:
    """Add a Deployment like the first one, under another image and release."""
    release = f"sha-{image.partition('@sha256:')[2][:12]}"
    history = _history(place)
    added = json.loads(json.dumps(history[-1][0]))
    added["metadata"]["labels"]["app.kubernetes.io/version"] = release
    added["metadata"]["annotations"]["signin-worker/reads"] = "false"
    container(added).update(image=image, args=["run", "--role", "worker"])
    _write(place / "history", [*history, [*history[-1], added]])


def _rendered(text: str) -> list[Any]:
    return of_kind((each for each in yaml.safe_load_all(text) if each), "Deployment")


def _record(place: Path, verb: str, arguments: list[str]) -> None:
    kubeconfig = Path(os.environ["KUBECONFIG"])
    call = {
        "verb": verb,
        "arguments": arguments,
        "kubeconfig": kubeconfig.read_text(),
        "path": str(kubeconfig),
        "mode": kubeconfig.stat().st_mode & 0o777,
    }
    with (place / "calls").open("a") as calls:
        print(json.dumps(call), file=calls)


def _history(place: Path) -> list[Any]:
    file = place / "history"
    return list(json.loads(file.read_text())) if file.exists() else []


def _installed(place: Path) -> list[Any]:
    history = _history(place)
    return list(history[-1]) if history else []


def _deployments(manifests: list[Any]) -> dict[str, Deployment]:
    found = [Deployment(_release(each), container(each)["image"], container(each)["args"][2]) for each in manifests]
    return {each.release: each for each in found}


def _with_reads(manifests: list[Any]) -> list[tuple[Deployment, str]]:
    found = _deployments(manifests)
    reads = {_release(each): str(each["metadata"]["annotations"]["signin-worker/reads"]) for each in manifests}
    return [(deployment, reads[release]) for release, deployment in found.items()]


def _release(manifest: Any) -> str:
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/version"])


def _write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content))
