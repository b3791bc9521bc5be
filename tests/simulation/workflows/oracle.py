"""What must hold, whatever happens: written from CONTRACT and SECURITY alone."""

from collections.abc import Iterator

from schemas.policy import Policy
from schemas.results import TERMINAL_TYPES, OtpRejected
from tests.simulation.workflows.ledger import Ledger, Published, SignIn, first_times

MAX_EVENTS = 10_000


class Oracle:
    """Judges what the world saw."""

    def __init__(self, ledger: Ledger, policy: Policy) -> None:
        self._ledger = ledger
        self._policy = policy

    def judge(self) -> Iterator[str]:
        """Yield every violation."""
        yield from self._judge_bytes()
        for story in self._ledger.sign_ins.values():
            yield from self._judge_end(story)
        if self._ledger.longest >= MAX_EVENTS:
            yield f"a history has {self._ledger.longest} events"

    def _judge_bytes(self) -> Iterator[str]:
        known: dict[str, Published] = {}
        for one in self._ledger.published:
            first = known.setdefault(one.ce_id, one)
            if (first.key, first.value, first.headers) != (one.key, one.value, one.headers):
                yield f"{one.result.signin_id}: two values of one ce_id: {first.value!r} and {one.value!r}"

    def _judge_end(self, story: SignIn) -> Iterator[str]:
        results = first_times(self._ledger.results_of(story.signin_id))
        results = [one for one in results if not _is_unknown(one)]
        places = [place for place, one in enumerate(results) if one.result.type in TERMINAL_TYPES]
        told = [one.result.type for one in results]

        if story.handled_at is not None and len(places) != 1:
            yield f"{story.signin_id}: {len(places)} terminal results: {told}"
        elif places and places[0] != len(results) - 1:
            yield f"{story.signin_id}: the terminal result is not the last: {told}"


def _is_unknown(one: Published) -> bool:
    return getattr(one.result, "reason", None) == "unknown_signin"
