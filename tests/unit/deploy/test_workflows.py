"""GitHub workflows: pinned actions, minimal permissions, every supported Python, no push before the tests."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.local.places import PROJECT

_PINNED: Final = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
_READS_SOURCES: Final = r"^from tests\.structure|PROJECT / (mutant|cut)\.file"
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


def test_only_these_jobs_may_write() -> None:
    """Jobs that publish may write what they publish, and sign it. All others may only read the sources."""
    permissions = {(file.stem, job): each for file in _FILES for job, each in _permissions(file.stem).items()}
    image = {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"}

    assert permissions.pop(("image", "build")) == {"contents": "read", "packages": "write"}
    for caller in (("image", "index"), ("deploy", "image"), ("release", "image")):
        assert permissions.pop(caller) == image
    assert permissions.pop(("release", "distributions")) == {
        "contents": "read",
        "id-token": "write",
        "attestations": "write",
    }
    assert permissions.pop(("release", "pypi")) == {"contents": "read", "id-token": "write"}
    assert permissions.pop(("release", "tags")) == {"contents": "read", "packages": "write"}
    assert permissions.pop(("release", "chart")) == {"contents": "read", "packages": "write"}
    for publisher in (("release", "notes"), ("release", "docs"), ("docs", "publish")):
        assert permissions.pop(publisher) == {"contents": "write"}
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


@pytest.mark.parametrize("name", ["deploy", "release"])
def test_nothing_is_pushed_or_rolled_out_before_the_tests(name: str) -> None:
    """The image waits for CI and audit, and the roll-out for the image."""
    jobs = _jobs(name)

    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["audit"]["uses"] == "./.github/workflows/audit.yml"
    assert jobs["image"]["needs"] == ["ci", "audit"]
    assert "image" in _needed(jobs, "roll-out")
    assert jobs["roll-out"]["with"]["image"] == "${{ needs.image.outputs.reference }}"


@pytest.mark.parametrize("name", ["deploy", "release"])
def test_the_roll_out_sees_the_secrets_of_its_environments(name: str) -> None:
    """A called workflow sees no secret that its caller does not name, not even that of its own environment."""
    used = set(re.findall(r"secrets\.(\w+)", str(_jobs("roll-out"))))

    assert used == {"KUBECONFIG"}
    assert set(_jobs(name)["roll-out"]["secrets"]) == used


def test_production_gets_releases_after_staging() -> None:
    """Only a release asks for production, which waits for staging."""
    production = _jobs("roll-out")["production"]

    assert (production["needs"], production["if"]) == ("staging", "inputs.production")
    assert _jobs("release")["roll-out"]["with"]["production"] is True
    assert "production" not in _jobs("deploy")["roll-out"]["with"]


def test_a_release_is_published_after_everything_has_passed() -> None:
    """Tag, version and changelog are compared first. PyPI, chart and the image's tags come last, before the notes."""
    jobs = _jobs("release")

    assert {_needed(jobs, name) >= {"version"} for name in jobs if name != "version"} == {True}
    for name in ("pypi", "tags", "chart"):
        assert {"version", "ci", "audit", "distributions", "image"} <= _needed(jobs, name)
    assert {"pypi", "tags", "chart"} <= _needed(jobs, "notes")


def test_pypi_trusts_the_workflow() -> None:
    """The upload has no token: the environment and the workflow's identity are the login."""
    pypi = _jobs("release")["pypi"]

    assert pypi["environment"] == "pypi"
    assert "--trusted-publishing always" in str(pypi["steps"])
    assert "secrets." not in str(pypi)


def test_the_image_is_scanned_before_it_is_pushed() -> None:
    """On both architectures, what is pushed was tried and scanned; the index is attested twice."""
    build = _jobs("image")["build"]
    steps = [step.get("uses", step.get("run", "")).partition("@")[0] for step in build["steps"]]
    attested = [step["with"] for step in _jobs("image")["index"]["steps"] if "actions/attest@" in step.get("uses", "")]

    (tried,) = (place for place, step in enumerate(steps) if "try-image.sh" in step)
    (scanned,) = (place for place, step in enumerate(steps) if step == "anchore/scan-action")
    (pushed,) = (place for place, step in enumerate(steps) if "docker login" in step)
    assert tried < scanned < pushed
    assert {each["architecture"] for each in build["strategy"]["matrix"]["include"]} == {"amd64", "arm64"}
    assert [each.get("sbom-path") for each in attested] == [None, ".cache/sbom.cdx.json"]


def test_the_contract_is_always_compared() -> None:
    """Also where there is no commit before, as on tags and dispatches: with the last release, whose tag is fetched."""
    steps = _jobs("ci")["contract"]["steps"]
    (step,) = (step for step in steps if "deploy.release contract" in step.get("run", ""))

    assert "exit 0" not in step["run"]
    assert "if" not in step
    assert steps[0]["with"]["fetch-depth"] == 0


def test_every_script_is_checked(tmp_path: Path) -> None:
    """The step that runs shellcheck names each shell script of the project."""
    (step,) = (step for step in _jobs("ci")["workflows"]["steps"] if step.get("name") == "shellcheck")
    program = tmp_path / "shellcheck"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)

    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", step["run"]]
    named = subprocess.run(
        command, cwd=PROJECT, env={"PATH": path}, capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()

    folders = (PROJECT / "deploy", PROJECT / "tests")
    scripts = {str(path.relative_to(PROJECT)) for folder in folders for path in folder.rglob("*.sh")}
    assert set(named) == scripts | {".ci/run"}


def test_dependabot_finds_what_it_looks_after() -> None:
    """Each folder holds a file of its kind."""
    kinds = {
        "docker": "Dockerfile",
        "pip": "*.txt",
        "npm": "package-lock.json",
        "gomod": "go.mod",
        "github-actions": ".github/workflows/*.yml",
    }
    updates = yaml.safe_load((PROJECT / ".github" / "dependabot.yml").read_text())["updates"]

    assert {each["package-ecosystem"] for each in updates} == set(kinds)
    for each in updates:
        folder = PROJECT / each["directory"].removeprefix("/")
        assert list(folder.glob(kinds[each["package-ecosystem"]])), each


def _needed(jobs: dict[str, Any], name: str) -> set[str]:
    """Return the jobs that a job waits for, directly or not."""
    needs = jobs[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*(_needed(jobs, each) for each in direct))


def test_each_environment_gets_its_own_values() -> None:
    """The job, the repository's environment and the chart's file of values have the same name."""
    for name in ("staging", "production"):
        job = _jobs("roll-out")[name]
        step = next(step for step in job["steps"] if "deploy/helm/roll-out.sh" in step.get("run", ""))
        assert (job["environment"], step["env"]["ENVIRONMENT"]) == (name, name)
        assert (PROJECT / "deploy" / "helm" / f"{name}.yaml").is_file()


def test_packages_are_looked_up_before_they_are_installed() -> None:
    """A runner's list of packages is as old as its image: what it names may have been replaced on the mirror since."""
    steps = [
        step.get("run", "") for file in _FILES for job in _jobs(file.stem).values() for step in job.get("steps", [])
    ]
    installing = [step for step in steps if "apt-get install" in step]

    assert installing
    assert [step for step in installing if "apt-get update" not in step.partition("apt-get install")[0]] == []


def test_the_job_that_has_promtool_runs_all_that_needs_it() -> None:
    """All other jobs skip these tests: the stories of every rule, and that a wrong rule fails them."""
    steps = [step.get("run", "") for step in _jobs("ci")["monitoring"]["steps"]]
    (installed,) = (place for place, step in enumerate(steps) if "prometheus" in step and "apt-get install" in step)

    assert [step for step in steps[installed:] if "pytest tests/unit/deploy/test_alerts.py" in step]


@pytest.mark.parametrize("name", ["staging", "production"])
def test_a_roll_out_has_the_time_to_go_back(name: str) -> None:
    """It waits for the new release, then for both its halves once it reads; the job must outlast the way back."""
    waited = re.findall(
        r"rollout status .* --timeout (\d+)m", (PROJECT / "deploy" / "helm" / "roll-out.sh").read_text()
    )
    (minutes,) = map(int, waited)

    assert _jobs("roll-out")[name]["timeout-minutes"] >= 3 * minutes + 10


def test_the_wheel_is_tested_by_as_many_processes_as_the_sources() -> None:
    """One process after the other would take longer than the job may."""
    (step,) = (step["run"] for step in _jobs("ci")["wheel"]["steps"] if "pytest" in step.get("run", ""))
    (options,) = re.findall(r"--numprocesses.*?(?= --cov)", (PROJECT / "Makefile").read_text())
    assert options in " ".join(step.replace("\\\n", " ").split())


def test_tests_of_the_wheel_read_no_sources() -> None:
    """The job deletes the sources, so it leaves out the tests that walk or break them. No other test may read them."""
    (command,) = (step["run"] for step in _jobs("ci")["wheel"]["steps"] if "pytest" in step.get("run", ""))
    left_out = tuple(re.findall(r"--ignore (\S+)", command))
    tests = {str(path.relative_to(PROJECT)): path.read_text() for path in (PROJECT / "tests").rglob("test_*.py")}
    reading = [name for name, text in tests.items() if re.search(_READS_SOURCES, text, re.MULTILINE)]

    assert reading
    assert [name for name in reading if not name.startswith(left_out)] == []
