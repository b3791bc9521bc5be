"""The demo, run as its commands."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.places import PROJECT, cache_folder


class Ended(NamedTuple):
    """A command that has ended. ``pid``: the id that its process had."""

    pid: int
    returncode: int
    stdout: str
    stderr: str


def _run(environment: dict[str, str], *command: str) -> Ended:
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stdout, stderr = process.communicate(timeout=110)

    return Ended(process.pid, process.returncode, stdout, stderr)


def _folders_of(pid: int) -> list[Path]:
    """Return the run folders of a process. Other tests may run servers at the same time."""
    return [folder for folder in (cache_folder() / "run").iterdir() if folder.name.startswith(f"{pid}-")]


@pytest.mark.timeout(120)
def test_every_person_gets_the_expected_results(kafka: Kafka, temporal: Temporal) -> None:
    """The demo exits with 0, reports ten people, and leaves no folder behind."""
    addresses = {"SIGNIN_TEST_KAFKA": kafka.bootstrap_servers, "SIGNIN_TEST_TEMPORAL": temporal.address}
    done = _run(addresses, "signin_worker", "demo", "--json", "-")

    assert done.returncode == 0, done.stderr

    report = json.loads(done.stdout)

    assert report["right"] and len(report["people"]) == 10
    assert report["request_to_mail_s"] and report["submit_to_result_s"]
    assert "Every outcome was right." in done.stderr
    assert _folders_of(done.pid) == []


def test_a_wrong_address_exits_with_69() -> None:
    """The demo names the variable that holds the wrong address."""
    nowhere = "127.0.0.1:1"
    done = _run({"SIGNIN_TEST_KAFKA": nowhere, "SIGNIN_TEST_TEMPORAL": nowhere}, "deploy.demo")

    assert done.returncode == 69
    assert "correct or unset SIGNIN_TEST_" in done.stdout


@pytest.mark.timeout(120)
def test_the_demo_for_a_browser_ends_with_ctrl_c(kafka: Kafka, temporal: Temporal) -> None:
    """The demo prints where the page and the mails are, both answer, and Ctrl-C ends everything."""
    addresses = {"SIGNIN_TEST_KAFKA": kafka.bootstrap_servers, "SIGNIN_TEST_TEMPORAL": temporal.address}
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.demo", "--web"],
        cwd=PROJECT,
        env={**os.environ, **addresses},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None

    printed = ""
    while "Ctrl-C" not in printed and (line := process.stdout.readline()):
        printed += line

    assert "Ctrl-C" in printed, process.communicate()
    (page,) = re.findall(r"^Sign in +(\S+)", printed, re.MULTILINE)
    (mails,) = re.findall(r"^Mails +(\S+)", printed, re.MULTILINE)
    assert "Send me a code" in httpx.get(page, headers={"accept-language": "en"}, trust_env=False).text
    assert "No mail yet" in httpx.get(mails, trust_env=False).text

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGINT
    assert errors.strip() == "cleaning up …"
    assert _folders_of(process.pid) == []
