"""Oracles: what times, and answers to too many questions, could tell."""

import inspect
import json
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Final

from activities import codes, keyed
from activities.codes import CodeKeys
from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, network, wrong

_SIGN_IN: Final = "s" * 22
_ASKS: Final = 7


async def counting_operations(scene: Scene) -> list[Count]:
    """Count the operations of a compare: for the right code, and for codes that are right up to some digit."""
    keys = CodeKeys({"k": bytes(range(32))})
    right = keys.derive("k", "ada", _SIGN_IN, "nonce", scene.policy.otp.digits)
    guesses = [right, *(_wrong_at(right, place) for place in range(len(right)))]
    seals = [keys.seal(_SIGN_IN, guess)[1] for guess in guesses]
    counts = [operations(partial(keys.matches, seal, "k", _SIGN_IN, right)) for seal in seals]

    assert counts[0] > 0, "nothing was counted"
    assert "hmac.compare_digest(" in inspect.getsource(CodeKeys.matches)

    return [
        Count(
            tried=f"compares: the right code, and one wrong at each of its digits; {counts[0]} operations each",
            tries=len(guesses),
            through=len(set(counts)) - 1,
            what="that took another number of operations; the compare itself is hmac.compare_digest",
            at_most=0,
            bound="none",
        )
    ]


async def telling_accounts_apart(scene: Scene) -> list[Count]:
    """Ask too often for an account that has signed in before, and for one that never has; compare all answers."""
    known, unknown = scene.address(), scene.address()
    for number in range(2):
        await scene.signed_in(known, ip=network(number), trusted_device=True)

    shapes = [await _shapes(scene, address) for address in (known, unknown)]

    assert any("throttled" in str(shape) for shape in shapes[0]), shapes[0]

    return [
        Count(
            tried="requests and wrong codes for an account with a past and for one without",
            tries=2 * len(shapes[0]),
            through=sum(one != other for one, other in zip(*shapes, strict=True)),
            what="answers of another kind, with other members or another retry time",
            at_most=0,
            bound="none",
        )
    ]


def operations(call: Callable[[], object]) -> int:
    """Return how many operations of Python our own code takes for a call."""
    counted = 0
    own = {codes.__file__, keyed.__file__}

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal counted
        frame.f_trace_opcodes = frame.f_code.co_filename in own
        counted += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)

    try:
        call()
    finally:
        sys.settrace(before)

    return counted


async def _shapes(scene: Scene, address: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is said, without values that differ from one sign-in to the next."""
    signin_ids = []
    for number in range(_ASKS):
        signin_ids.append(await scene.ask(address, ip=network(number)))
        await scene.heard([signin_ids[-1]])

    for code in wrong("00000000", 3):
        await scene.type(signin_ids[0], address, code)

    await scene.heard([signin_ids[0]], 4)
    said = await scene.said()

    return [(one.kind, tuple(json.loads(one.value))) for signin_id in signin_ids for one in said[signin_id]]


def _wrong_at(code: str, place: int) -> str:
    return code[:place] + str((int(code[place]) + 1) % 10) + code[place + 1 :]


ATTACKS = (
    Attack("counting-operations", "S3", counting_operations, short=True),
    Attack("telling-accounts-apart", "S11", telling_accounts_apart),
)
