"""Verifies Turnstile tokens. Every field of the answer counts, not only ``success`` (SECURITY S12).

https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
"""

import logging
import uuid
from collections.abc import Callable, Set
from datetime import datetime, timedelta

from temporalio import activity

from activities.errors import ChallengeUnavailable
from activities.ports import ChallengeVerifier, SiteverifyAnswer
from activities.reporting import context, failure, severity
from schemas.tasks import TokenToCheck, TokenVerdict

logger = logging.getLogger(__name__)

_MAX_TOKEN_LENGTH = 2048  # characters, Turnstile's own limit
_CLOCK_SKEW = timedelta(seconds=60)
_IDEMPOTENCY_KEYS = uuid.UUID("0b5f6a0e-52d5-5d0e-8c4b-7a1d2f9c3e64")

# An answer is untrusted text: only documented error codes reach a log.
_OUR_MISTAKES = frozenset({"missing-input-secret", "invalid-input-secret", "bad-request"})
_BAD_TOKENS = frozenset({"missing-input-response", "invalid-input-response", "timeout-or-duplicate"})


class TurnstileActivities:
    """Activities that verify challenges. Tokens older than ``max_token_age_s`` seconds fail.

    An empty set of hostnames accepts any hostname. ``by_test_secret`` is for Cloudflare's test
    secrets, whose answers name neither page nor sign-in (docs/adr/0017). The settings allow
    both in development only.
    """

    def __init__(
        self,
        verifier: ChallengeVerifier,
        hostnames: Set[str],
        action: str,
        max_token_age_s: float,
        clock: Callable[[], datetime],
        *,
        by_test_secret: bool = False,
    ) -> None:
        self._verifier = verifier
        self._hostnames = frozenset(hostname.lower() for hostname in hostnames)
        self._action = action
        self._max_token_age = timedelta(seconds=max_token_age_s)
        self._clock = clock
        self._by_test_secret = by_test_secret

    @activity.defn(name="verify_turnstile_activity")
    async def verify_turnstile_activity(self, task: TokenToCheck) -> TokenVerdict:
        """Tell whether a person solved the challenge for this very sign-in."""
        try:
            verdict = await self._verdict(task)
        except Exception as error:
            extra = context(error, signin_id=task.signin_id, attempt=task.attempt)
            logger.log(severity(error), "challenge not verified", extra=extra)
            raise failure(error) from None

        if not verdict.passed:
            extra = context(signin_id=task.signin_id, attempt=task.attempt, why=verdict.why)
            logger.info("challenge failed", extra=extra)
        return verdict

    async def _verdict(self, task: TokenToCheck) -> TokenVerdict:
        if not task.token or len(task.token) > _MAX_TOKEN_LENGTH:
            return TokenVerdict(passed=False, why="token")

        key = _idempotency_key(task.signin_id, task.attempt, task.token)
        answer = await self._verifier.siteverify(token=task.token, ip=task.ip, idempotency_key=key)

        if not answer.success and "internal-error" in answer.error_codes:
            raise ChallengeUnavailable
        if not answer.success:
            _log_error_codes(answer, task.signin_id)

        why = self._failing_field(answer, task.signin_id)
        return TokenVerdict(passed=why is None, why=why)

    def _failing_field(self, answer: SiteverifyAnswer, signin_id: str) -> str | None:
        """Return the name of the first field that is wrong, or None."""
        if self._by_test_secret and answer.metadata.result_with_testing_key:
            return None if answer.success else "success"

        checks = {
            "success": answer.success,
            "hostname": self._is_allowed(answer.hostname),
            "action": answer.action == self._action,
            "cdata": answer.cdata == signin_id,
            "challenge_ts": self._is_fresh(answer.challenge_ts),
        }
        return next((field for field, holds in checks.items() if not holds), None)

    def _is_allowed(self, hostname: str | None) -> bool:
        return not self._hostnames or (hostname or "").lower() in self._hostnames

    def _is_fresh(self, solved_at: datetime | None) -> bool:
        if solved_at is None or solved_at.tzinfo is None:
            return False
        age = self._clock() - solved_at
        return -_CLOCK_SKEW <= age <= self._max_token_age


def _idempotency_key(signin_id: str, attempt: int, token: str) -> str:
    """Return the same key on every retry, or siteverify would reject the token as a duplicate."""
    return str(uuid.uuid5(_IDEMPOTENCY_KEYS, f"{signin_id}\n{attempt}\n{token}"))


def _log_error_codes(answer: SiteverifyAnswer, signin_id: str) -> None:
    """Log an error if siteverify refuses the worker, not the token: nobody can sign in then."""
    mistakes = sorted(_OUR_MISTAKES.intersection(answer.error_codes))
    if mistakes:
        extra = context(signin_id=signin_id, error_codes=mistakes)
        logger.error("siteverify refuses this worker", extra=extra)
    else:
        codes = sorted(_BAD_TOKENS.intersection(answer.error_codes))
        extra = context(signin_id=signin_id, error_codes=codes)
        logger.debug("siteverify refuses the token", extra=extra)
