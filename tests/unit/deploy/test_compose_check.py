"""``make compose-check``: what of it can be told without a daemon. The rest it does by itself, in CI."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

from deploy.local.places import PROJECT
from tests.compose.docker import COMPOSE_FILE
from tests.compose.stand_ins import IMAGES

SERVICES: Final = yaml.safe_load(COMPOSE_FILE.read_text())["services"]


def test_without_a_daemon_the_check_says_that_it_checked_nothing(tmp_path: Path) -> None:
    """It fails, so that nobody takes it for a pass."""
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/nowhere.sock", "PATH": os.environ["PATH"]}

    done = subprocess.run(
        [sys.executable, "-m", "tests.compose"], cwd=PROJECT, env=nowhere, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr.endswith("Nothing was checked.\n"), done.stderr


def test_each_foreign_image_has_a_stand_in_that_says_what_it_stands_for() -> None:
    """Whoever adds a service to the compose file adds its stand-in, and says where its user and paths were read."""
    foreign = {name: service["image"] for name, service in SERVICES.items() if "build" not in service}

    assert {folder.name for folder in IMAGES.iterdir()} == {*foreign, "python"}
    for name, image in foreign.items():
        head = (IMAGES / name / "Dockerfile").read_text().partition("FROM")[0]
        assert f"Stands in for {image.partition(':')[0]}." in head
        assert "As in https://github.com/" in head


def test_ci_checks_the_official_images() -> None:
    """The stand-ins prove the file, not the images that it names."""
    jobs = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert "make compose-check" in [step.get("run") for step in jobs["compose"]["steps"]]


def test_the_page_says_what_stand_ins_do_not_prove() -> None:
    """Nothing of Grafana, and another Prometheus."""
    page = (PROJECT / "docs" / "compose.md").read_text()
    for name in ("Kafka", "Temporal", "Mailpit", "Prometheus", "Grafana"):
        assert f"\n| {name} |" in page
