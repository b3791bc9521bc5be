"""The demo, run as its commands."""

import json
import os
import subprocess
import sys

import pytest

from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.places import PROJECT, cache_folder


def _run(environment: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.timeout(120)
def test_every_person_gets_the_expected_results(kafka: Kafka, temporal: Temporal) -> None:
    """The demo exits with 0, reports ten people, and leaves no folder behind."""
    before = set((cache_folder() / "run").iterdir())
    addresses = {"SIGNIN_TEST_KAFKA": kafka.bootstrap_servers, "SIGNIN_TEST_TEMPORAL": temporal.address}
    done = _run(addresses, "signin_worker", "demo", "--json", "-")

    assert done.returncode == 0, done.stderr

    report = json.loads(done.stdout)

    assert report["right"] and len(report["people"]) == 10
    assert report["request_to_mail_s"] and report["submit_to_result_s"]
    assert "Every outcome was right." in done.stderr
    assert set((cache_folder() / "run").iterdir()) <= before


def test_a_wrong_address_exits_with_69() -> None:
    """The demo names the variable that holds the wrong address."""
    nowhere = "127.0.0.1:1"
    done = _run({"SIGNIN_TEST_KAFKA": nowhere, "SIGNIN_TEST_TEMPORAL": nowhere}, "deploy.demo")

    assert done.returncode == 69
    assert "correct or unset SIGNIN_TEST_" in done.stdout
