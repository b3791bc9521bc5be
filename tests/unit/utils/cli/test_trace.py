"""The command ``signin-worker trace``."""

import json
import os

from activities.addresses import Address
from schemas.status import Trace
from tests.docs.screen_samples import TRACE
from tests.fakes.wiring import FakeWiring, invoke
from utils.cli.trace import trace

SIGNIN_ID = TRACE.signin_id


def run(found: Trace, *arguments: str) -> tuple[int, str, list[tuple[str, Address | None]]]:
    """Run the command; return its exit code, all that it prints, and which sign-ins it asks about."""
    wiring = FakeWiring()
    wiring.fake_trace = found
    code, output = invoke(trace, wiring, *arguments)
    return code, output, wiring.traced


def test_the_screen_is_a_timeline() -> None:
    """Each event has a line: seconds since the first, where it happened, and what."""
    code, output, asked = run(TRACE, SIGNIN_ID)
    assert (code, asked) == (0, [(SIGNIN_ID, None)])
    assert "a***@e***.com" in output
    assert "11.402 s   mailbox   send_email_activity done  attempt 1" in output
    assert output.index("send_email_activity failed") < output.index("send_email_activity done")


def test_json_is_the_whole_trace() -> None:
    """The object can be read back as the model."""
    _, output, _ = run(TRACE, SIGNIN_ID, "--json")
    assert Trace.model_validate(json.loads(output)) == TRACE


def test_an_address_finds_the_mailbox_and_is_not_repeated() -> None:
    """The address is normalized before its mailbox is looked up."""
    _, output, asked = run(TRACE, SIGNIN_ID, "--email", "Grace@Example.com")
    assert asked[0][1] is not None and asked[0][1].account == "grace@example.com"
    assert "race@" not in output


def test_the_trace_is_shown_without_kafka() -> None:
    """While Kafka is away, the screen says so and shows what Temporal knows."""
    code, output, _ = run(TRACE.model_copy(update={"away": {"Kafka": "KafkaConnectionError"}}), SIGNIN_ID)
    assert code == 0
    assert "Kafka does not answer (KafkaConnectionError)" in output and "signin.succeeded" in output


def test_topics_that_were_not_searched_are_named() -> None:
    """Otherwise a sign-in would look like one without records there."""
    _, output, _ = run(TRACE.model_copy(update={"unseen": ("signin.results",)}), SIGNIN_ID)
    assert "signin.results was not searched: it does not exist, or there is no right to see it" in " ".join(
        output.split()
    )


def test_an_unknown_sign_in_ends_with_66() -> None:
    """Neither Temporal nor Kafka knows it."""
    code, output, _ = run(Trace(signin_id=SIGNIN_ID), SIGNIN_ID)
    assert code == os.EX_NOINPUT and "not over yet" in output


def test_wrong_arguments_end_with_64_and_are_not_repeated() -> None:
    """Nothing is asked for what is not an id, or with what is not an address."""
    code, output, asked = run(TRACE, "ada@example.com")
    assert (code, asked) == (os.EX_USAGE, []) and "ada@" not in output

    code, _, asked = run(TRACE, SIGNIN_ID, "--email", "nobody")
    assert (code, asked) == (os.EX_USAGE, [])
