"""The oracle: what it lets pass, and what it accuses when a ledger is tampered with."""

import random
from collections.abc import Callable

import pytest

from schemas.results import CodeSent, OtpRejected, SignInExpired, SignInFailed, SignInSucceeded
from tests.simulation.workflows import people
from tests.simulation.workflows.agenda import BEGINNING
from tests.simulation.workflows.ledger import Compared, Ledger, Published
from tests.simulation.workflows.oracle import judge
from tests.simulation.workflows.world import World

_SEED = 60
"""Of a visit with one wrong code and the right one."""


def calm_visit() -> World:
    """Return a world in which somebody has signed in, with a wrong code first."""
    world = World(random.Random(_SEED), told=False)
    world.hire()
    world.move(0.0, people.visit, _SEED)
    world.agenda.run(60.0)
    return world


def find(ledger: Ledger, kind: type) -> Published:
    """Return the result of a kind."""
    return next(one for one in ledger.published if isinstance(one.result, kind))


def change(ledger: Ledger, kind: type, **members: object) -> None:
    """Change a result everywhere it stands."""
    old = find(ledger, kind)
    new = old._replace(result=old.result.model_copy(update=members))
    ledger.published[:] = [new if one is old else one for one in ledger.published]


def lose(ledger: Ledger, kind: type) -> None:
    """Remove a result."""
    ledger.published.remove(find(ledger, kind))


def repeat_with_other_bytes(ledger: Ledger) -> None:
    """Publish a result again, with another value."""
    ledger.published.append(find(ledger, CodeSent)._replace(value=b"{}"))


def end_twice(ledger: Ledger) -> None:
    """Publish another terminal result."""
    success = find(ledger, SignInSucceeded)
    result = SignInFailed(
        signin_id=success.result.signin_id,
        account=success.result.account,
        occurred_at=success.result.occurred_at,
        reason="delivery_failed",
    )
    ledger.published.append(success._replace(ce_id="another", result=result))


def expire(ledger: Ledger) -> None:
    """Say that the sign-in expired, in place of its success."""
    success = find(ledger, SignInSucceeded)
    sent = find(ledger, CodeSent).result
    assert isinstance(sent, CodeSent)
    result = SignInExpired(signin_id=sent.signin_id, account=sent.account, occurred_at=sent.expires_at)
    ledger.published[ledger.published.index(success)] = success._replace(ce_id="another", result=result)


def mail_afterwards(ledger: Ledger) -> None:
    """Send the mail again after the end."""
    end = find(ledger, SignInSucceeded).at
    ledger.mails.append(ledger.mails[0]._replace(began_at=end + 1, at=end + 2))


def compare_often(ledger: Ledger) -> None:
    """Compare many submissions."""
    signin_id = find(ledger, CodeSent).result.signin_id
    ledger.compared += [Compared(1.0, signin_id, "a", str(number), False) for number in range(6)]


def type_something_else(ledger: Ledger) -> None:
    """Let the right code not be the one that was typed."""
    result = find(ledger, SignInSucceeded).result
    assert isinstance(result, SignInSucceeded)
    ledger.typed[result.submission_id].code = "00000000"


def reveal_address(ledger: Ledger) -> None:
    """Put an address into a result."""
    sent = find(ledger, CodeSent)
    ledger.published[:] = [one._replace(value=b"ada@example.com") if one is sent else one for one in ledger.published]


def reveal_code(ledger: Ledger) -> None:
    """Put a code into a result."""
    sent = find(ledger, CodeSent)
    value = b'"' + ledger.mails[0].mail.code.get_secret_value().encode() + b'"'
    ledger.published[:] = [one._replace(value=value) if one is sent else one for one in ledger.published]


def fail_the_challenge(ledger: Ledger) -> None:
    """Let the token have been a bad one."""
    for story in ledger.sign_ins.values():
        story.asked[1] = story.asked[1]._replace(is_good=False)


def end_late(ledger: Ledger) -> None:
    """Publish the success an hour later."""
    success = find(ledger, SignInSucceeded)
    ledger.published[ledger.published.index(success)] = success._replace(at=3_600.0)
    ledger.calm_since = 0.0


def test_a_calm_visit_is_fine() -> None:
    """Somebody types a wrong code and the right one, and nothing is accused."""
    world = calm_visit()

    kinds = [one.result.type for one in world.ledger.published]
    assert kinds == ["signin.code_sent", "otp.rejected", "signin.succeeded"]
    assert world.settle() == []


@pytest.mark.parametrize(
    ("tamper", "text"),
    [
        (lambda ledger: lose(ledger, SignInSucceeded), "0 terminal results"),
        (lambda ledger: lose(ledger, CodeSent), "succeeded without code_sent"),
        (lambda ledger: change(ledger, OtpRejected, attempts_left=0), "attempts left where"),
        (repeat_with_other_bytes, "two values of one ce_id"),
        (end_twice, "2 terminal results"),
        (expire, "the right code has no answer"),
        (mail_afterwards, "a mail began"),
        (compare_often, "compares where"),
        (type_something_else, "succeeded without the right code"),
        (reveal_address, "an address in a result"),
        (reveal_code, "a code in a result"),
        (lambda ledger: ledger.mails.clear(), "no mail was accepted"),
        (lambda ledger: change(ledger, CodeSent, account=None), "names the account None"),
        (lambda ledger: change(ledger, CodeSent, resend_after=BEGINNING), "resend_after is"),
        (lambda ledger: change(ledger, OtpRejected, reason="locked"), "locked with 1 attempts left where 2 are"),
        (lambda ledger: change(ledger, OtpRejected, reason="locked", retry_after_s=60), "though nothing refuses it"),
        (lambda ledger: change(ledger, OtpRejected, reason="unknown_signin"), "unknown_signin after 0:00:00"),
        (lambda ledger: ledger.reads.clear(), "counts as read at"),
        (fail_the_challenge, "its challenge failed"),
        (end_late, "after its code expired"),
    ],
)
def test_what_must_not_be_is_accused(tamper: Callable[[Ledger], object], text: str) -> None:
    """Each breach of a promise has its sentence."""
    world = calm_visit()
    assert not list(judge(world.ledger, world.policy, world.temporal.runs))

    tamper(world.ledger)

    found = list(judge(world.ledger, world.policy, world.temporal.runs))
    assert any(text in one for one in found), found
    world.settle()
