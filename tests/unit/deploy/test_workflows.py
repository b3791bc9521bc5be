"""GitHub workflows: pinned actions, minimal permissions, every supported Python, no push before the tests."""

import re
import tomllib
from typing import Any, Final

import yaml

from deploy.local.places import PROJECT

_PINNED: Final = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
_FILES: Final = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))


def _jobs(name: str) -> dict[str, Any]:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / f"{name}.yml").read_text())
    assert workflow["permissions"] == {}
    jobs = workflow["jobs"]
    assert isinstance(jobs, dict)
    return jobs


def test_actions_are_pinned_by_hash() -> None:
    """Each action is pinned to a commit, because a tag can be moved, with its version in a comment."""
    lines = [line for file in _FILES for line in file.read_text().splitlines()]
    used = [line.partition("uses: ")[2] for line in lines if "uses: " in line]
    assert used
    assert [each for each in used if not each.startswith("./") and not _PINNED.fullmatch(each)] == []


def test_only_two_jobs_may_write() -> None:
    """One job may publish the image, one the files of a release. All others may only read the sources."""
    names = ("ci", "audit", "deploy")
    permissions = {(name, job): each for name in names for job, each in _permissions(name).items()}

    assert permissions.pop(("deploy", "image")) == {"contents": "read", "packages": "write"}
    assert permissions.pop(("deploy", "sbom")) == {"contents": "write"}
    assert all(each == {"contents": "read"} for each in permissions.values())


def _permissions(name: str) -> dict[str, Any]:
    return {job: definition["permissions"] for job, definition in _jobs(name).items()}


def test_the_tests_run_on_every_supported_python() -> None:
    """The matrix has the versions of the classifiers, from the required one on, and includes the Docker backend."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    supported = [text.rpartition(" ")[2] for text in project["classifiers"] if "Python :: 3." in text]
    matrix = _jobs("ci")["test"]["strategy"]["matrix"]
    assert matrix["python"] == supported
    assert project["requires-python"] == f">={supported[0]}"
    assert {"local", "docker"} == {*matrix["backend"], *(each["backend"] for each in matrix["include"])}


def test_nothing_is_pushed_or_rolled_out_before_the_tests() -> None:
    """The image waits for CI and audit, staging for the image, and production for staging and a tag."""
    jobs = _jobs("deploy")
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["audit"]["uses"] == "./.github/workflows/audit.yml"
    needs = [jobs[name]["needs"] for name in ("image", "staging", "production")]
    assert needs == [["ci", "audit"], "image", ["image", "staging"]]
    assert jobs["production"]["if"] == "github.ref_type == 'tag'"


def test_each_environment_gets_its_own_manifests() -> None:
    """The job, the repository's environment and the folder of manifests have the same name."""
    for name in ("staging", "production"):
        job = _jobs("deploy")[name]
        step = next(step for step in job["steps"] if "deploy/kubernetes/roll-out.sh" in step.get("run", ""))
        assert (job["environment"], step["env"]["ENVIRONMENT"]) == (name, name)
        assert (PROJECT / "deploy" / "kubernetes" / name / "kustomization.yaml").is_file()
