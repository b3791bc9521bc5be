"""Oracles: what timing, and the answers to too many requests, could disclose."""

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
from tests.redteam.scene import Scene, network, wrong_codes

_SIGN_IN: Final = "s" * 22
_REQUESTS: Final = 7


async def count_operations(scene: Scene) -> list[Count]:
    """Count the operations of a compare for the right code, and for codes that are wrong in one digit."""
    keys = CodeKeys({"k": bytes(range(32))})
    right = keys.derive("k", "ada", _SIGN_IN, "nonce", scene.policy.otp.digits)
    guesses = [right, *(_wrong_at(right, place) for place in range(len(right)))]
    seals = [keys.seal(_SIGN_IN, guess)[1] for guess in guesses]
    counts = [operations(partial(keys.matches, seal, "k", _SIGN_IN, right)) for seal in seals]

    assert counts[0] > 0, "no operations were counted"
    assert "hmac.compare_digest(" in inspect.getsource(CodeKeys.matches)

    return [
        Count(
            tried=f"compares of the right code and of codes wrong in one digit; {counts[0]} operations per compare",
            tries=len(guesses),
            through=len(set(counts)) - 1,
            what="other numbers of operations; the compare itself is hmac.compare_digest",
            at_most=0,
            bound="none",
        )
    ]


async def tell_accounts_apart(scene: Scene) -> list[Count]:
    """Send too many requests for an account that has signed in before and for a new one; compare the answers."""
    known = scene.address()
    unknown = scene.address()
    for number in range(2):
        await scene.sign_in(known, ip=network(number), trusted_device=True)

    shapes = [await _shapes(scene, address) for address in (known, unknown)]

    assert any("throttled" in str(shape) for shape in shapes[0]), shapes[0]

    return [
        Count(
            tried="requests and wrong codes for an account with a history and for one without",
            tries=2 * len(shapes[0]),
            through=sum(one != other for one, other in zip(*shapes, strict=True)),
            what="answers that differ in kind or members",
            at_most=0,
            bound="none",
        )
    ]


def operations(call: Callable[[], object]) -> int:
    """Return how many Python operations our own code executes during a call."""
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
    """Return the kind and members of each result, without the values, which differ between sign-ins."""
    signin_ids = []
    for number in range(_REQUESTS):
        signin_ids.append(await scene.request(address, ip=network(number)))
        await scene.wait_for_results([signin_ids[-1]])

    for code in wrong_codes("00000000", 3):
        await scene.submit(signin_ids[0], address, code)

    await scene.wait_for_results([signin_ids[0]], 4)
    results = await scene.results()

    return [(one.kind, tuple(json.loads(one.value))) for signin_id in signin_ids for one in results[signin_id]]


def _wrong_at(code: str, place: int) -> str:
    return code[:place] + str((int(code[place]) + 1) % 10) + code[place + 1 :]


ATTACKS = (
    Attack("counting-operations", "S3", count_operations, short=True),
    Attack("telling-accounts-apart", "S11", tell_accounts_apart),
)
