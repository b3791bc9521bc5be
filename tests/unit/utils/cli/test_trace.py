"""The command ``signin-worker trace``."""

import asyncio
import json
import os
from collections.abc import Coroutine
from typing import Any

import typer
from typer.testing import CliRunner

from activities.addresses import Address
from schemas.status import Trace
from utils.cli.trace import TraceCommand
from tests.docs.standing_screens import STORY

SIGNIN = STORY.signin_id


def run(story: Trace, *arguments: str) -> tuple[int, str, list[tuple[str, Address | None]]]:
    """Run the command; return its exit code, all that it said, and what it asked about."""
    asked: list[tuple[str, Address | None]] = []

    async def tell(signin_id: str, address: Address | None) -> Trace:
        asked.append((signin_id, address))
        return story

    def carry_out(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    cli = typer.Typer()
    TraceCommand(lambda: tell, carry_out).add_to(cli)
    result = CliRunner().invoke(cli, list(arguments))

    return result.exit_code, result.output, asked


def test_a_story_is_a_timeline() -> None:
    """How long after the first moment, where, what."""
    code, said, asked = run(STORY, SIGNIN)
    assert (code, asked) == (0, [(SIGNIN, None)])
    assert "a***@e***.com" in said
    assert "11.402 s   mailbox   send_email_activity done  attempt 1" in said
    assert said.index("send_email_activity failed") < said.index("send_email_activity done")


def test_as_json_it_is_one_object() -> None:
    """As the model has it."""
    _, said, _ = run(STORY, SIGNIN, "--json")
    assert Trace.model_validate(json.loads(said)) == STORY


def test_an_address_finds_the_mailbox_and_is_not_repeated() -> None:
    """In whatever spelling."""
    _, said, asked = run(STORY, SIGNIN, "--email", "Grace@Example.com")
    assert asked[0][1] is not None and asked[0][1].account == "grace@example.com"
    assert "race@" not in said


def test_kafka_away_is_told_beside_what_temporal_knows() -> None:
    """The rest is still true."""
    code, said, _ = run(STORY.model_copy(update={"away": {"Kafka": "KafkaConnectionError"}}), SIGNIN)
    assert code == 0
    assert "Kafka does not answer (KafkaConnectionError)" in said and "signin.succeeded" in said


def test_what_nobody_knows_and_what_is_no_id() -> None:
    """66 and 64; neither the id's text nor the address is repeated."""
    code, said, _ = run(Trace(signin_id=SIGNIN), SIGNIN)
    assert code == os.EX_NOINPUT and "not over yet" in said
    code, said, asked = run(STORY, "ada@example.com")
    assert (code, asked) == (os.EX_USAGE, []) and "ada@" not in said
    code, said, asked = run(STORY, SIGNIN, "--email", "nobody")
    assert (code, asked) == (os.EX_USAGE, [])
