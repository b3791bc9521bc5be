"""Ways to break what results say and when they come, what a success gives back, and what a new run takes over."""

from typing import Final

from tests.simulation.mutant import Mutant

ANSWER_MUTANTS: Final = (
    Mutant(
        "a lock is told to last as long as if the last failure had been the first",
        "workflows/rules/budgets.py",
        "    return inside[-limit] + span\n",
        "    return inside[-1] + span\n",
    ),
    Mutant(
        "a limit lasts an hour longer than a day",
        "workflows/rules/budgets.py",
        "DAY = timedelta(days=1)",
        "DAY = timedelta(days=1, hours=1)",
    ),
    Mutant(
        "a success gives back nothing of what its sign-in has spent",
        "workflows/rules/mailbox.py",
        "            self._budgets.succeed(sign_in)\n",
        "            pass\n",
    ),
    Mutant(
        "a network is half as large",
        "workflows/rules/clients.py",
        "_IPV4_PREFIX = 24",
        "_IPV4_PREFIX = 25",
    ),
    Mutant(
        "a tag makes another mailbox",
        "activities/addresses.py",
        "    mailbox = _without_tag(_fold(local))\n",
        "    mailbox = _fold(local)\n",
    ),
    Mutant(
        "an operator who clears one account's limits clears those of its neighbours",
        "workflows/rules/budgets.py",
        "        self._state.failures.pop(account, None)\n",
        "        self._state.failures.clear()\n",
    ),
    Mutant(
        "a later attempt is judged by its own network",
        "workflows/rules/attempts.py",
        "    blocked_until = budgets.mail_blocked_until(sign_in, now)\n",
        "    blocked_until = budgets.mail_blocked_until(challenge, now)\n",
    ),
    Mutant(
        "an hour has 55 minutes",
        "workflows/rules/budgets.py",
        "HOUR = timedelta(hours=1)",
        "HOUR = timedelta(minutes=55)",
    ),
    Mutant(
        "a code may be asked for again at once, says code_sent",
        "workflows/rules/attempts.py",
        "        resend_after=now + _cooldown(policy),\n",
        "        resend_after=now,\n",
    ),
    Mutant(
        "an answer to a locked account names all tries as left",
        "workflows/rules/outbox.py",
        '            reason="locked",\n            attempts_left=_attempts_left(sign_in),\n',
        '            reason="locked",\n            attempts_left=sign_in.otp.max_attempts,\n',
    ),
    Mutant(
        "a rejection names no account",
        "workflows/sign_in.py",
        "                account=email.account,\n"
        "                occurred_at=workflow.now(),\n"
        "                reason=reason,\n",
        "                account=None,\n                occurred_at=workflow.now(),\n                reason=reason,\n",
    ),
    Mutant(
        "a result of a later attempt is in the trace of the first",
        "workflows/rules/outbox.py",
        "            traceparent=traceparent or own_traceparent,\n",
        "            traceparent=own_traceparent or traceparent,\n",
    ),
    Mutant(
        "a mail does not say from where it was asked for",
        "workflows/rules/jobs.py",
        "        ip=mail.ip,\n",
        "        ip=None,\n",
    ),
    Mutant(
        "a token that siteverify refuses, or that is for something else, passes",
        "activities/turnstile_check.py",
        '            "success": answer.success,\n'
        '            "hostname": self._is_allowed(answer.hostname),\n'
        '            "action": answer.action == self._action,\n'
        '            "cdata": answer.cdata == signin_id,\n'
        '            "challenge_ts": self._is_fresh(answer.challenge_ts),\n',
        '            "hostname": True,\n',
    ),
    Mutant(
        "a domain that takes no mail passes",
        "activities/email_check.py",
        'reason=None if accepts_mail else "undeliverable_email"',
        "reason=None",
    ),
    Mutant(
        "a submission waits two seconds for its sign-in",
        "workflows/rules/submissions.py",
        "timedelta(seconds=self._state.policy.times.unknown_signin_wait_s)",
        "timedelta(seconds=self._state.policy.times.unknown_signin_wait_s / 5)",
    ),
    Mutant(
        "a later attempt waits a few seconds for the first",
        "workflows/sign_in.py",
        '            if first.status == "closed" or left_s <= 0:\n',
        '            if first.status == "closed" or left_s <= 55:\n',
    ),
    Mutant(
        "siteverify is tried for three seconds",
        "workflows/timeouts.py",
        "    return timedelta(seconds=policy.times.challenge_s)\n",
        "    return timedelta(seconds=policy.times.challenge_s / 10)\n",
    ),
    Mutant(
        "nobody wakes up when a code expires",
        "workflows/rules/mailbox.py",
        "        moments += [sign_in.expires_at for sign_in in live]\n",
        "",
    ),
    Mutant(
        "a submission counts as read when it was typed",
        "consumers/gateway/temporal.py",
        "            read_at=submission.read_at,\n",
        "            read_at=event.submitted_at,\n",
    ),
    Mutant(
        "a request that is over can be started again",
        "consumers/gateway/temporal.py",
        "REJECT_DUPLICATE",
        "ALLOW_DUPLICATE",
    ),
    Mutant(
        "a submission that is sent again with another code is another one",
        "workflows/rules/memory.py",
        'text = f"{submission.account} {submission.submission_id}"',
        'text = f"{submission.signin_id} {submission.account} {submission.submission_id} {submission.seal}"',
    ),
    Mutant(
        "a new run forgets the submissions that the mailbox has seen",
        "workflows/verify_otp.py",
        "            MailboxInput(policy=state.policy, carried=state),\n",
        '            MailboxInput(policy=state.policy, carried=state.model_copy(update={"seen": []})),\n',
    ),
    Mutant(
        "a new run forgets the sign-ins that are over",
        "workflows/verify_otp.py",
        "            MailboxInput(policy=state.policy, carried=state),\n",
        "            MailboxInput(policy=state.policy, carried=state.model_copy(\n"
        '                update={"over": [], "turned_away": []})),\n',
    ),
    Mutant(
        "a new run forgets the submissions that wait for their sign-in",
        "workflows/verify_otp.py",
        "            MailboxInput(policy=state.policy, carried=state),\n",
        '            MailboxInput(policy=state.policy, carried=state.model_copy(update={"waiting": []})),\n',
    ),
    Mutant(
        "a new run does not make the compares that were in flight",
        "workflows/rules/mailbox.py",
        "        self._submissions.take_back_compares()\n",
        "",
    ),
)
