"""The software bill of materials (SBOM) matches the runtime lock."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOCK = Path(__file__).parents[2] / "requirements" / "runtime.txt"
PROJECT = LOCK.parents[1] / "pyproject.toml"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return an SBOM written with the options of ``make sbom``."""
    file = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    program = Path(sys.executable).with_name("cyclonedx-py")
    options = ["--pyproject", str(PROJECT), "--output-reproducible", "--validate", "--output-file", str(file)]

    subprocess.run([program, "requirements", *options, str(LOCK)], check=True, capture_output=True)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_the_sbom_lists_exactly_the_locked_packages(sbom: dict[str, Any]) -> None:
    """The SBOM has every name and version of the lock, and no other."""
    locked = set(_PIN.findall(LOCK.read_text()))
    assert len(locked) > 20
    assert {(one["name"], one["version"]) for one in sbom["components"]} == locked


def test_the_sbom_has_the_hashes_of_the_locked_files(sbom: dict[str, Any]) -> None:
    """Every hash in the SBOM is SHA-256 and occurs in the lock."""
    for component in sbom["components"]:
        hashes = [one for reference in component["externalReferences"] for one in reference.get("hashes", [])]
        assert {one["alg"] for one in hashes} == {"SHA-256"}, component["name"]
        assert all(one["content"] in LOCK.read_text() for one in hashes)


def test_the_sbom_names_its_format_and_the_project(sbom: dict[str, Any]) -> None:
    """The SBOM is in the CycloneDX format, which scanners read, and names this project."""
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", "signin-worker")
