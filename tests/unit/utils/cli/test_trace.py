"""The command ``signin-worker trace``."""

import json
import os

import typer
from typer.testing import CliRunner

from activities.addresses import Address
from schemas.status import Trace
from utils.cli.trace import trace
from tests.fakes.wiring import FakeWiring
from tests.docs.screen_samples import TRACE

SIGNIN = TRACE.signin_id


def run(found: Trace, *arguments: str) -> tuple[int, str, list[tuple[str, Address | None]]]:
    """Run the command; return its exit code, all that it prints, and what it asks about."""
    wiring = FakeWiring()
    wiring.fake_trace = found
    cli = typer.Typer()
    cli.command()(trace)
    result = CliRunner().invoke(cli, arguments, obj=wiring)

    return result.exit_code, result.output, wiring.traced


def test_a_story_is_a_timeline() -> None:
    """How long after the first moment, where, what."""
    code, said, asked = run(TRACE, SIGNIN)
    assert (code, asked) == (0, [(SIGNIN, None)])
    assert "a***@e***.com" in said
    assert "11.402 s   mailbox   send_email_activity done  attempt 1" in said
    assert said.index("send_email_activity failed") < said.index("send_email_activity done")


def test_as_json_it_is_one_object() -> None:
    """As the model has it."""
    _, said, _ = run(TRACE, SIGNIN, "--json")
    assert Trace.model_validate(json.loads(said)) == TRACE


def test_an_address_finds_the_mailbox_and_is_not_repeated() -> None:
    """In whatever spelling."""
    _, said, asked = run(TRACE, SIGNIN, "--email", "Grace@Example.com")
    assert asked[0][1] is not None and asked[0][1].account == "grace@example.com"
    assert "race@" not in said


def test_kafka_away_is_told_beside_what_temporal_knows() -> None:
    """The rest is still true."""
    code, said, _ = run(TRACE.model_copy(update={"away": {"Kafka": "KafkaConnectionError"}}), SIGNIN)
    assert code == 0
    assert "Kafka does not answer (KafkaConnectionError)" in said and "signin.succeeded" in said


def test_what_nobody_knows_and_what_is_no_id() -> None:
    """66 and 64; neither the id's text nor the address is repeated."""
    code, said, _ = run(Trace(signin_id=SIGNIN), SIGNIN)
    assert code == os.EX_NOINPUT and "not over yet" in said
    code, said, asked = run(TRACE, "ada@example.com")
    assert (code, asked) == (os.EX_USAGE, []) and "ada@" not in said
    code, said, asked = run(TRACE, SIGNIN, "--email", "nobody")
    assert (code, asked) == (os.EX_USAGE, [])
