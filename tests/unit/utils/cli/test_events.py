"""The commands that write to Kafka: ``request``, ``submit`` and ``topics create``."""

import asyncio
import json
import os
import re
from collections.abc import Callable

import pytest

from deploy.local.topics import Topics

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.usefixtures("served")
async def test_request_and_submit_emit_events_and_print_their_ids(
    run: Run, monkeypatch: pytest.MonkeyPatch, topics: Topics
) -> None:
    """``request`` prints a random id for ``submit``, as JSON or as lines. No code is printed."""
    for name, value in topics.settings().items():
        monkeypatch.setenv(name, value)

    code, output, _ = await asyncio.to_thread(run, "request", "ada@example.com", "--token", "t", "--json")
    emitted = json.loads(output)

    assert (code, emitted["topic"], emitted["offset"]) == (0, topics.requested, 0)
    assert re.fullmatch("[0-9a-f]{32}", emitted["signin_id"]), "128 bits, and never mistaken for an option"

    code, output, _ = await asyncio.to_thread(run, "submit", emitted["signin_id"], "ada@example.com", "12345678")

    assert code == 0
    assert output.splitlines()[0] == f"signin_id {emitted['signin_id']}"
    assert output.splitlines()[1].startswith("submission_id ")
    assert "12345678" not in output


@pytest.mark.usefixtures("served")
def test_topics_get_the_partitions_and_replicas_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """More replicas than brokers are refused by Kafka, and the command ends with 69."""
    topics = Topics.fresh("sized")
    for name, value in topics.settings().items():
        monkeypatch.setenv(name, value)

    code, _, errors = run("topics", "create", "--partitions", "3", "--replication-factor", "2")
    assert code == 69
    assert "InvalidReplicationFactorError" in errors

    assert run("topics", "create", "--partitions", "3", "--replication-factor", "1")[0] == 0
    code, output, _ = run("topics", "create", "--partitions", "4")
    assert code == 0
    assert f"{topics.requested} has 3 partitions, not 4" in output


@pytest.mark.usefixtures("served")
def test_topics_are_created_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run creates the missing topics. The second finds that they exist."""
    requested = f"r-{os.urandom(6).hex()}"
    monkeypatch.setenv("SIGNIN_KAFKA__REQUESTED_TOPIC", requested)
    monkeypatch.setenv("SIGNIN_KAFKA__SUBMITTED_TOPIC", f"s-{os.urandom(6).hex()}")

    code, output, _ = run("topics", "create")

    assert code == 0
    assert f"{requested}.dlt: created" in output

    code, output, _ = run("topics", "create")

    assert code == 0
    assert f"{requested}: exists" in output
