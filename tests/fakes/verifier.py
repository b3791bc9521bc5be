"""Siteverify in memory."""

from dataclasses import dataclass

from activities.errors import ChallengeUnavailable
from activities.ports import SiteverifyAnswer


@dataclass(frozen=True)
class Asked:
    """One call of siteverify."""

    token: str
    ip: str | None
    idempotency_key: str


class FakeVerifier:
    """Implements ``ChallengeVerifier`` with ``answers`` by token. An unknown token is ``invalid-input-response``.

    A token is valid once, except for a repeat with the same ``idempotency_key``. While ``down`` is
    set, every call raises.
    """

    def __init__(self) -> None:
        self.answers: dict[str, SiteverifyAnswer] = {}
        self.asked: list[Asked] = []
        self.down = False
        self._spent: dict[str, str] = {}

    def script(self, token: str, answer: SiteverifyAnswer) -> None:
        """Set the answer to a token."""
        self.answers[token] = answer

    async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
        """Answer as scripted, or raise ``ChallengeUnavailable``."""
        self.asked.append(Asked(token, ip, idempotency_key))
        if self.down:
            raise ChallengeUnavailable

        answer = self.answers.get(token)
        if answer is None:
            return refused("invalid-input-response")
        if self._spent.setdefault(token, idempotency_key) != idempotency_key:
            return refused("timeout-or-duplicate")

        return answer


def refused(code: str) -> SiteverifyAnswer:
    """Return the answer to a rejected token, with one error code."""
    return SiteverifyAnswer.model_validate({"success": False, "error-codes": [code]})
