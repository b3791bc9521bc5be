"""No address, code or token leaves an activity except in its result, whatever its ports raise (SECURITY S8)."""

import ast
import inspect
import json
import pkgutil
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from temporalio.exceptions import ApplicationError

import activities
from activities.codes import CodeKeys
from activities.delivery import DeliveryActivities
from activities.email_check import EmailActivities
from activities.errors import MailRefused, MailUnavailable, SideEffectError
from activities.handing_over import HandOverActivities
from activities.otp import OtpActivities
from activities.ports import CodeMail, SiteverifyAnswer
from activities.pseudonyms import Pseudonyms
from activities.publishing import PublishingActivities
from activities.turnstile_check import TurnstileActivities
from schemas.policy import Policy
from schemas.results import ResultEvent, SignInExpired
from schemas.signals import Challenge, Refusal, Rejection
from schemas.tasks import (
    CodeToVerify,
    EmailToCheck,
    FirstAttempt,
    FirstAttemptQuery,
    HandOver,
    MailToSend,
    Publication,
    TokenToCheck,
    TokenVerdict,
)
from tests.fakes.activity_calls import called, log_book, outgoing

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SIGNIN = "s" * 22
KEYS = CodeKeys({"k": bytes(32)})
PSEUDONYMS = Pseudonyms(bytes(32))

long_texts = st.text(max_size=60).map(lambda text: f"hush {text}")
"""Any text that no fixed text, source line or traceback contains by chance."""

addresses = st.one_of(long_texts, st.from_regex(r"[a-z]{8,20}@[a-z]{5,10}\.test", fullmatch=True))

errors = st.sampled_from([None, MailUnavailable, MailRefused])


class TalkativePorts:
    """Implements every port by raising its arguments, either in the error itself or in the cause of ``error``."""

    def __init__(self, error: type[SideEffectError] | None) -> None:
        self.error = error

    def _raise(self, *secrets: object) -> None:
        talkative = RuntimeError(*secrets)
        if self.error is None:
            raise talkative
        raise self.error from talkative

    async def accept_mail(self, domain: str) -> bool:
        """Raise the domain."""
        self._raise(domain)
        return False

    async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
        """Raise the token."""
        self._raise(token, ip, idempotency_key)
        return SiteverifyAnswer(success=False)

    async def send(self, mail: CodeMail) -> None:
        """Raise the recipient and the code."""
        self._raise(mail.recipient, mail.code.get_secret_value(), mail)

    async def publish(self, event: ResultEvent) -> None:
        """Raise the event."""
        self._raise(event, event.value())

    async def hand_over(self, mailbox: str, message: Challenge | Refusal | Rejection, policy: Policy) -> None:
        """Raise the message."""
        self._raise(mailbox, message, policy)

    async def read(self, signin_id: str) -> FirstAttempt:
        """Raise the sign-in's id."""
        self._raise(signin_id)
        return FirstAttempt(status="unknown")


async def _what_leaves(call: Callable[[Any], Awaitable[object]], task: BaseModel) -> str:
    """Call an activity, and return its log and its error as text."""
    with log_book() as book:
        try:
            await called().run(call, task)
        except ApplicationError as error:
            return f"{book.text()} {outgoing(error)}"
    return book.text()


def _assert_hidden(secret: str, text: str) -> None:
    """See that the text contains the secret neither as it is nor escaped as by repr, JSON or a protocol buffer."""
    assert secret not in text
    assert repr(secret)[1:-1] not in text
    assert json.dumps(secret)[1:-1] not in text


@given(address=addresses, error=errors)
async def test_no_address_leaves_its_check(address: str, error: type[SideEffectError] | None) -> None:
    """Neither an invalid address is shown nor one whose domain cannot be resolved."""
    check = EmailActivities(TalkativePorts(error), PSEUDONYMS).validate_email_activity

    left = await _what_leaves(check, EmailToCheck(email=address))

    _assert_hidden(address, left)
    if address.endswith(".test"):
        _assert_hidden(address.rpartition("@")[2], left)


def _verify(verifier: TalkativePorts) -> Callable[[TokenToCheck], Awaitable[TokenVerdict]]:
    activities = TurnstileActivities(verifier, {"x.test"}, "signin", 300, lambda: NOW)
    return activities.verify_turnstile_activity


@given(token=long_texts, error=errors)
async def test_no_token_leaves_its_check(token: str, error: type[SideEffectError] | None) -> None:
    """The client's IP address does not leave either."""
    check = _verify(TalkativePorts(error))
    task = TokenToCheck(signin_id=SIGNIN, attempt=1, token=token, ip="203.0.113.7")

    left = await _what_leaves(check, task)

    _assert_hidden(token, left)
    _assert_hidden("203.0.113.7", left)


@given(answer=st.lists(long_texts), hostname=long_texts, token=long_texts | st.just("hush" * 513))
async def test_nothing_leaves_with_a_verdict(answer: list[str], hostname: str, token: str) -> None:
    """Siteverify repeats what the browser sent, which is untrusted, and a failed token is still a secret."""

    class Verifier(TalkativePorts):
        """Refuses the token, with text of its own."""

        async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
            """Refuse."""
            return SiteverifyAnswer.model_validate({"success": False, "hostname": hostname, "error-codes": answer})

    task = TokenToCheck(signin_id=SIGNIN, attempt=1, token=token)
    left = await _what_leaves(_verify(Verifier(None)), task)

    for text in [token, hostname, *answer]:
        _assert_hidden(text, left)


@given(address=addresses, error=errors, late=st.booleans(), key_id=st.sampled_from(["k", "gone"]))
async def test_no_address_and_no_code_leave_with_a_mail(
    address: str, error: type[SideEffectError] | None, late: bool, key_id: str
) -> None:
    """A mail server's answer may contain the address, and a template's error the code."""
    task = MailToSend(
        signin_id=SIGNIN,
        attempt=1,
        email=address,
        account="ada",
        nonce="n",
        key_id=key_id,
        digits=8,
        expires_at=NOW + timedelta(seconds=-1 if late else 1),
        requested_at=NOW,
    )
    send = DeliveryActivities(TalkativePorts(error), KEYS, "x.test", lambda: NOW).send_email_activity

    left = await _what_leaves(send, task)

    _assert_hidden(address, left)
    _assert_hidden(KEYS.derive("k", "ada", SIGNIN, "n", 8), left)


@given(code=st.from_regex(r"[0-9]{8}", fullmatch=True), key_id=st.sampled_from(["k", "gone"]))
async def test_no_code_leaves_its_check(code: str, key_id: str) -> None:
    """The code as typed does not leave, nor its seal, nor the right code."""
    _, seal = KEYS.seal(SIGNIN, code)
    task = CodeToVerify(signin_id=SIGNIN, account="ada", nonce="n", key_id=key_id, digits=8, seal=seal, seal_key_id="k")

    left = await _what_leaves(OtpActivities(KEYS).verify_otp_activity, task)

    for secret in (code, seal, KEYS.derive("k", "ada", SIGNIN, "n", 8)):
        _assert_hidden(secret, left)


@given(address=addresses, error=errors)
async def test_no_address_leaves_with_a_hand_over(address: str, error: type[SideEffectError] | None) -> None:
    """The challenge that is handed over contains the address."""
    challenge = Challenge(
        signin_id=SIGNIN,
        attempt=1,
        email=address,
        account="ada",
        requested_at=NOW,
        born_at=NOW,
        decided_at=NOW,
        policy=Policy(),
    )
    task = HandOver(mailbox="m", message=challenge, policy=Policy())
    ports = TalkativePorts(error)

    left = await _what_leaves(HandOverActivities(ports, ports, lambda: NOW).hand_over_activity, task)

    _assert_hidden(address, left)


@pytest.mark.parametrize("error", [None, MailUnavailable])
async def test_no_text_of_kafka_or_temporal_leaves(error: type[SideEffectError] | None) -> None:
    """Their messages are hidden too, although they know no secret."""
    ports = TalkativePorts(error)
    event = ResultEvent(result=SignInExpired(signin_id=SIGNIN, account="who-is-it", occurred_at=NOW))
    publish = PublishingActivities(ports).publish_result_activity
    hand_over = HandOverActivities(ports, ports, lambda: NOW)

    published = await _what_leaves(publish, Publication(events=(event,)))
    read = await _what_leaves(hand_over.read_first_attempt_activity, FirstAttemptQuery(signin_id=SIGNIN))

    _assert_hidden("who-is-it", published)
    assert "RuntimeError('s" not in read


def _activity_functions() -> Iterator[tuple[str, Callable[..., object]]]:
    for module in pkgutil.iter_modules(activities.__path__, "activities."):
        for _, found in inspect.getmembers(import_module(module.name), inspect.isclass):
            for name, function in inspect.getmembers(found, inspect.isfunction):
                if found.__module__ == module.name and hasattr(function, "__temporal_activity_definition"):
                    yield name, function


ACTIVITIES = dict(_activity_functions())


def test_every_activity_is_covered() -> None:
    """The workflows call nine activities, each registered under its method's name."""
    registered = {getattr(function, "__temporal_activity_definition").name for function in ACTIVITIES.values()}

    assert registered == set(ACTIVITIES)
    assert sorted(ACTIVITIES) == [
        "generate_otp_activity",
        "hand_over_activity",
        "publish_result_activity",
        "read_first_attempt_activity",
        "report_clearing_activity",
        "send_email_activity",
        "validate_email_activity",
        "verify_otp_activity",
        "verify_turnstile_activity",
    ]


@pytest.mark.parametrize("function", ACTIVITIES.values(), ids=ACTIVITIES)
def test_every_activity_handles_its_own_errors(function: Callable[..., object]) -> None:
    """It starts with a ``try`` whose only handler catches ``Exception``, logs, and raises a failure from None."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(definition, ast.AsyncFunctionDef)

    _docstring, guarded = definition.body[:2]

    assert isinstance(guarded, ast.Try)

    (handler,) = guarded.handlers
    lines = [ast.unparse(line) for line in handler.body]

    assert handler.type is not None and ast.unparse(handler.type) == "Exception"
    assert lines[-1] == "raise failure(error) from None"
    assert lines[-2].startswith("logger.log(severity(error), '")
