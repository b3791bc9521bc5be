"""People who sign in, people who guess, and operators."""

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from activities.addresses import parse_address
from schemas.limits import Clearing
from tests.simulation.workflows.consumers import REQUESTED, SUBMITTED
from tests.fakes.workflow_instances import to_payload
from tests.simulation.workflows.ledger import Asked, SignIn, Typed
from tests.simulation.workflows.outside import WITHOUT_MAIL, Token
from tests.simulation.workflows.workers import PSEUDONYMS
from workflows.names import CLEAR_LIMITS_UPDATE, mailbox_workflow_id

if TYPE_CHECKING:
    from tests.simulation.workflows.world import World

Move = Callable[["World", random.Random], None]

_MAX_ATTEMPT: Final = 20
_ADDRESSES: Final = (
    "ada@example.com",
    "ada@example.com",
    " Ada@Example.com",
    "ada+news@example.com",
    "eve@example.org",
)
_NETWORKS: Final[Mapping[str | None, str]] = {
    "192.0.2.7": "192.0.2.0/24",
    "192.0.2.200": "192.0.2.0/24",
    "198.51.100.9": "198.51.100.0/24",
    "2001:db8:1::5": "2001:db8:1::/48",
    None: "unknown",
}
"""Where people come from, and whose budget that is, as CONTRACT says it."""

_IPS: Final = tuple(_NETWORKS)


def sign_in(world: "World", rng: random.Random) -> None:
    """Ask for a code."""
    _begin(world, rng)


def send_again(world: "World", rng: random.Random) -> None:
    """Ask for a code once more, too early or when it is allowed again."""
    story = _some_sign_in(world, rng)
    if story is not None:
        pause_s = rng.choice((0.0, world.policy.limits.send_cooldown_s + rng.uniform(0, 3)))
        world.agenda.later(pause_s, lambda: _ask_again(world, rng, story))


def ask_twice(world: "World", rng: random.Random) -> None:
    """Ask for a code, and once more as soon as it is allowed."""
    story = _begin(world, rng)
    pause_s = world.policy.limits.send_cooldown_s + rng.uniform(0, 3)
    world.agenda.later(pause_s, lambda: _ask_again(world, rng, story))


def type_newest(world: "World", rng: random.Random) -> None:
    """Type the code of the mail that came last."""
    newest = world.ledger.mails[-1]
    story = world.ledger.sign_ins[newest.task.signin_id]
    _submit(world, _text(rng, 16), story, newest.mail.code.get_secret_value())


def type_right(world: "World", rng: random.Random) -> None:
    """Type the code of a mail. If none has come yet, look again in a moment."""
    story = _some_sign_in(world, rng)
    if story is None:
        return

    _type_right(world, rng, story)


def visit(world: "World", rng: random.Random) -> None:
    """Sign in as most people do: ask, type a wrong code or none, then the right one, and perhaps type it twice."""
    story = _begin(world, rng)
    if story.account is None:
        return

    if rng.random() < 0.3:
        world.agenda.later(rng.uniform(0, 5), partial(_submit, world, _text(rng, 16), story, "x00000000"))
    for _ in range(rng.choice((1, 1, 2))):
        _type_right(world, rng, story)


def guess(world: "World", rng: random.Random) -> None:
    """Guess at an account in several sign-ins, while its owner signs in and out."""
    address = rng.choice(_ADDRESSES)
    for number in range(rng.randint(2, 5)):
        at_s = 12.0 * number
        if rng.random() < 0.35:
            world.agenda.later(at_s, lambda: _type_right(world, rng, _begin(world, rng, address)))
        else:
            world.agenda.later(at_s, lambda: _guess_in(world, rng, _begin(world, rng, address)))


def _type_right(world: "World", rng: random.Random, story: SignIn) -> None:
    submission_id = _text(rng, 16)
    style = rng.randrange(3)
    patience = rng.choice((4, 30))

    def look(times_left: int) -> None:
        mails = world.ledger.mails_of(story.signin_id)
        if mails:
            code = mails[0].mail.code.get_secret_value()
            _submit(world, submission_id, story, (code, f"{code[:4]} {code[4:]}", f"{code[:3]}-{code[3:]}")[style])
        elif times_left:
            world.agenda.later(2.0, lambda: look(times_left - 1))

    world.agenda.later(rng.uniform(0, 3), lambda: look(patience))


def type_wrong(world: "World", rng: random.Random) -> None:
    """Type something else, perhaps several times."""
    story = _some_sign_in(world, rng)
    if story is not None:
        for _ in range(rng.choice((1, 1, 2, 5))):
            _submit(world, _text(rng, 16), story, rng.choice(("", "x")) + f"{rng.randrange(10**8):08}")


def type_under_one_id(world: "World", rng: random.Random) -> None:
    """Type two wrong codes that the emitter sends under the same id: the one read first counts."""
    story = _some_sign_in(world, rng)
    if story is not None:
        submission_id = _text(rng, 16)
        for after_s in (0.0, rng.uniform(0.1, 20.0)):
            code = f"x{rng.randrange(10**8):08}"
            world.agenda.later(after_s, partial(_submit, world, submission_id, story, code))


def type_for_another(world: "World", rng: random.Random) -> None:
    """Name a sign-in that is another account's, or none's."""
    story = _some_sign_in(world, rng)
    if story is None or rng.random() < 0.5:
        signin_id = _text(rng, 22)
        for _ in range(rng.choice((1, 1, 4))):
            _submit(world, _text(rng, 16), _stranger(signin_id, "ada@example.com"), "12345678")
    else:
        _submit(world, _text(rng, 16), _stranger(story.signin_id, "ada+other@example.com"), "12345678")


def type_before_asking(world: "World", rng: random.Random) -> None:
    """Let a submission overtake its request."""
    story = _begin(world, rng)
    if story.account is not None:
        _submit(world, _text(rng, 16), story, "00000000")


def flood(world: "World", rng: random.Random) -> None:
    """Send junk for one mailbox, some of it for a sign-in that exists."""
    story = _some_sign_in(world, rng)
    for number in range(rng.choice((10, 40))):
        signin_id = story.signin_id if story is not None and number % 3 == 0 else _text(rng, 22)
        email = rng.choice(("ada@example.com", "ada+other@example.com"))
        submission_id = _text(rng, 16)
        code = f"x{rng.randrange(10**8):08}"
        after_s = number * rng.choice((0.002, 0.2))
        world.agenda.later(after_s, partial(_submit, world, submission_id, _stranger(signin_id, email), code))


def come_late(world: "World", rng: random.Random, after_s: float) -> None:
    """Sign in, and type a code so many seconds later, after somebody else has typed something."""
    story = _begin(world, rng)
    if story.account is None:
        return

    def type_code() -> None:
        mails = world.ledger.mails_of(story.signin_id)
        code = mails[0].mail.code.get_secret_value() if mails and rng.random() < 0.7 else "x0000000"
        _submit(world, _text(rng, 16), story, code)

    world.agenda.later(after_s, lambda: type_for_another(world, rng))
    world.agenda.later(after_s + rng.uniform(0.05, 0.5), type_code)


def clear_limits(world: "World", rng: random.Random) -> None:
    """Give a budget back, as an operator does."""
    address = rng.choice(_ADDRESSES)
    _clear(world, address, mails=rng.random() < 0.5, failures=rng.random() < 0.7)


def clear_for_another(world: "World", rng: random.Random) -> None:
    """Guess at an account before and after an operator clears the limits of another account of its mailbox."""
    for at_s in (0.0, 8.0, 30.0):
        world.agenda.later(at_s, lambda: _guess_in(world, rng, _begin(world, rng, "ada@example.com")))
    world.agenda.later(25.0, lambda: _clear(world, "ada+news@example.com", mails=True, failures=True))


def _clear(world: "World", address: str, *, mails: bool, failures: bool) -> None:
    parsed = parse_address(address)
    assert parsed is not None
    run = world.temporal.open_run(mailbox_workflow_id(PSEUDONYMS.mailbox(parsed)))
    if run is None:
        return

    clearing = Clearing(
        account=PSEUDONYMS.account(parsed),
        mails=mails,
        failures=failures,
        operator="grace",
        masked="a***@e***.com",
    )
    world.temporal.update(run, CLEAR_LIMITS_UPDATE, to_payload(clearing))


def _begin(world: "World", rng: random.Random, address: str | None = None) -> SignIn:
    """Ask for a code for the first time."""
    address = address or rng.choice(_ADDRESSES)
    if rng.random() < 0.03:
        address = rng.choice(("no address", f"ada@{WITHOUT_MAIL}"))
    parsed = parse_address(address)
    ip = rng.choice(_IPS)
    story = SignIn(
        signin_id=_text(rng, 22),
        email=address,
        account=None if parsed is None else PSEUDONYMS.account(parsed),
        mailbox=None if parsed is None else _mailbox_of(address),
        network=_NETWORKS[ip],
        is_trusted=rng.random() < 0.15,
    )
    world.ledger.sign_ins[story.signin_id] = story
    _request(world, rng, story, 1, ip)
    return story


def _ask_again(world: "World", rng: random.Random, story: SignIn) -> None:
    if story.attempts < _MAX_ATTEMPT:
        story.attempts += 1
        _request(world, rng, story, story.attempts, rng.choice(_IPS))


def _guess_in(world: "World", rng: random.Random, story: SignIn) -> None:
    if story.account is None:
        return
    for number in range(world.policy.otp.max_attempts):
        code = f"x{rng.randrange(10**8):08}"
        world.agenda.later(1.0 + number, partial(_submit, world, _text(rng, 16), story, code))


def _request(world: "World", rng: random.Random, story: SignIn, attempt: int, ip: str | None) -> None:
    now = world.agenda.datetime()
    token = _text(rng, 30)
    solved_at = now - timedelta(seconds=rng.uniform(0, 200))
    is_good = rng.random() < 0.94
    world.outside.tokens[token] = Token(story.signin_id, solved_at, is_good)
    story.asked[attempt] = Asked(world.agenda.now, ip, is_good)
    event: dict[str, Any] = {
        "signin_id": story.signin_id,
        "attempt": attempt,
        "email": story.email if rng.random() < 0.97 or attempt == 1 else "eve@example.org",
        "requested_at": (now - timedelta(seconds=rng.uniform(0, 2))).isoformat(),
        "turnstile_token": token,
        "client": {"ip": ip, "user_agent": "Firefox", "locale": "de-CH", "trusted_device": story.is_trusted},
    }
    world.story.add("request", f"{story.signin_id} attempt {attempt}")
    world.consumers.emit(REQUESTED, event)


def _submit(world: "World", submission_id: str, story: SignIn, code: str) -> None:
    assert story.account is not None
    world.ledger.typed[submission_id] = Typed(submission_id, story.signin_id, story.account, code)
    world.story.add("submission", f"{story.signin_id} {submission_id}")
    event = {
        "submission_id": submission_id,
        "signin_id": story.signin_id,
        "email": story.email,
        "code": code,
        "submitted_at": world.agenda.datetime().isoformat(),
    }
    world.consumers.emit(SUBMITTED, event)


def _some_sign_in(world: "World", rng: random.Random) -> SignIn | None:
    """Return one of the newest sign-ins of a valid address."""
    stories = [story for story in world.ledger.sign_ins.values() if story.account is not None]
    return rng.choice(stories[-3:]) if stories else None


def _stranger(signin_id: str, email: str) -> SignIn:
    parsed = parse_address(email)
    assert parsed is not None
    return SignIn(signin_id, email, PSEUDONYMS.account(parsed), _mailbox_of(email), "unknown", False)


def _mailbox_of(email: str) -> str:
    """Return the pseudonym of a mailbox. CONTRACT says which spellings are the same: in other case, or with a tag."""
    local, _, domain = email.strip().lower().partition("@")
    parsed = parse_address(f"{local.partition('+')[0]}@{domain}")
    assert parsed is not None
    return PSEUDONYMS.mailbox(parsed)


def _text(rng: random.Random, length: int) -> str:
    return f"{rng.getrandbits(4 * length):0{length}x}"
