"""Ways to break the workflows, the defects that they once had among them."""

from typing import Final

from tests.simulation.mutant import Mutant
from tests.simulation.workflows.answer_mutants import ANSWER_MUTANTS
from tests.simulation.workflows.former_defects import DEFECTS_OF_ISSUE_21

_RULES: Final = "workflows/rules"

WORKFLOW_MUTANTS: Final = (
    *DEFECTS_OF_ISSUE_21,
    *ANSWER_MUTANTS,
    # Results
    Mutant(
        "rejections are published by local activities",
        "workflows/sign_in.py",
        "        await run_durable_step(PublishingActivities",
        "        await run_step(PublishingActivities",
    ),
    Mutant(
        "a later mail is told of before history holds that it is",
        f"{_RULES}/outbox.py",
        "durably=not is_first)",
        "durably=False)",
    ),
    Mutant(
        "a lock is told as of a moment before the mail",
        f"{_RULES}/submissions.py",
        "                sign_in.judged_at = moment_of_verdict(sign_in, queued.at)\n",
        "                sign_in.judged_at = queued.at\n",
    ),
    Mutant(
        "limits are cleared before history holds the update",
        "workflows/verify_otp.py",
        "        await run_durable_step(ClearingActivities.report_clearing_activity, clearing)\n"
        "        self._mailbox.clear_limits(clearing)\n",
        "        self._mailbox.clear_limits(clearing)\n"
        "        await run_durable_step(ClearingActivities.report_clearing_activity, clearing)\n",
    ),
    Mutant(
        "a wrong code has the moment of the last signal",
        f"{_RULES}/mailbox.py",
        "            sign_in.judged_at = moment_of_verdict(sign_in, queued.at)\n",
        "            sign_in.judged_at = self.state.last_event_at\n",
    ),
    Mutant(
        "a sign-in ends by a code as of the last signal",
        f"{_RULES}/mailbox.py",
        "            self._endings.decide(sign_in, queued, is_correct=is_correct)\n",
        "            queued.at = self.state.last_event_at\n"
        "            self._endings.decide(sign_in, queued, is_correct=is_correct)\n",
    ),
    Mutant(
        "a mail is told before the verdict on an earlier submission",
        f"{_RULES}/endings.py",
        "        if self._submissions.are_pending(sign_in.signin_id):\n            return\n\n        ending",
        "        ending",
    ),
    Mutant(
        "a compare that nobody had time for is given up",
        "workflows/job_runner.py",
        "                if is_timeout(error):\n",
        "                if False:\n",
    ),
    Mutant(
        "an acknowledgement drops what was decided meanwhile",
        f"{_RULES}/outbox.py",
        "[event for event in events if event not in published]",
        "[]",
    ),
    Mutant(
        "results of a sign-in overtake each other",
        f"{_RULES}/outbox.py",
        "        if queue not in self._in_flight:\n",
        "        if len(self._state.outbox[queue]) > 0:\n",
    ),
    Mutant(
        "a sign-in that was turned away is forgotten",
        f"{_RULES}/endings.py",
        "        self._memory.remember_turned_away(sign_in.signin_id)\n",
        "",
    ),
    Mutant(
        "a sign-in that is handed over again begins again",
        f"{_RULES}/mailbox.py",
        "        if self._memory.knows(challenge.signin_id):\n            return\n",
        "",
    ),
    Mutant(
        "nobody is told that a later attempt was refused",
        f"{_RULES}/mailbox.py",
        "            self._endings.refuse_resend(sign_in, refusal, Obstacle(refusal.reason), at)\n",
        "            pass\n",
    ),
    Mutant(
        "a mailbox ends while its budgets still count",
        f"{_RULES}/memory.py",
        "        return max(last_duplicate_at, last_spent_at + timedelta(seconds=linger_s))",
        "        return last_duplicate_at",
    ),
    Mutant(
        "results have the address",
        f"{_RULES}/outbox.py",
        '"account": subject.account',
        '"account": getattr(subject, "email", subject.account)',
    ),
    # Tries and budgets
    Mutant(
        "a submission that is delivered again is judged again",
        f"{_RULES}/memory.py",
        "        if digest in self._state.seen or self._waits(submission) or self._is_charged(submission):\n",
        "        if False:\n",
    ),
    Mutant(
        "there is one try more",
        f"{_RULES}/mailbox.py",
        "sign_in.tries >= sign_in.otp.max_attempts",
        "sign_in.tries > sign_in.otp.max_attempts",
    ),
    Mutant(
        "what waits for its turn is compared after the last try",
        f"{_RULES}/endings.py",
        "            at=queued.at,\n        )\n        self._submissions.drop_queued(sign_in.signin_id)\n",
        "            at=queued.at,\n        )\n",
    ),
    Mutant(
        "another account's submission is compared",
        f"{_RULES}/submissions.py",
        "        if submission.account != sign_in.account:\n",
        "        if False:\n",
    ),
    Mutant(
        "a locked account's codes are compared",
        f"{_RULES}/submissions.py",
        "            if locked_until := self._budgets.locked_until(sign_in, queued.at):\n",
        "            if locked_until := None:\n",
    ),
    Mutant(
        "no limit an hour",
        f"{_RULES}/budgets.py",
        "            _full_until(spent, HOUR, self.per_hour, now),\n",
        "",
    ),
    Mutant(
        "no limit a day",
        f"{_RULES}/budgets.py",
        "            _full_until(spent, DAY, self.per_day, now),\n",
        "",
    ),
    Mutant(
        "no limit for one network",
        f"{_RULES}/budgets.py",
        "            _full_until(of_network, DAY, self.per_day_and_network, now),\n",
        "",
    ),
    Mutant(
        "no limit in a row",
        f"{_RULES}/budgets.py",
        "        if self.in_a_row is not None and _in_a_row",
        "        if False and _in_a_row",
    ),
    Mutant(
        "limits are one too high",
        f"{_RULES}/budgets.py",
        "if limit is None or len(inside) < limit:",
        "if limit is None or len(inside) <= limit:",
    ),
    Mutant(
        "a mailbox forgets its budgets with each new run",
        "workflows/verify_otp.py",
        "            MailboxInput(policy=state.policy, carried=state),\n",
        "            MailboxInput(policy=state.policy, carried=state.model_copy(\n"
        '                update={"sends": MailboxState(policy=state.policy, last_event_at=state.last_event_at).sends,\n'
        '                        "failures": {}})),\n',
    ),
    Mutant(
        "a trusted device spends what strangers have",
        f"{_RULES}/budgets.py",
        "    return ledgers.trusted if trusted else ledgers.strangers\n",
        "    return ledgers.strangers\n",
    ),
    # Mails
    Mutant(
        "an attempt that is handed over again is mailed again",
        f"{_RULES}/attempts.py",
        "    if sign_in is None or message.attempt in sign_in.attempts:\n",
        "    if sign_in is None:\n",
    ),
    Mutant(
        "mails of a sign-in have no pause between them",
        f"{_RULES}/attempts.py",
        "cooled_down_at = sign_in.last_send_at + _cooldown(state.policy)",
        "cooled_down_at = sign_in.last_send_at",
    ),
    Mutant(
        "a code is sent again just before it expires",
        f"{_RULES}/attempts.py",
        "    if sign_in.expires_at - now < timedelta(seconds=sign_in.otp.shortest_resend_s):\n",
        "    if False:\n",
    ),
    Mutant(
        "an old request is mailed",
        f"{_RULES}/attempts.py",
        "    return now - born_at > timedelta(seconds=policy.times.max_event_age_s)\n",
        "    return False\n",
    ),
    Mutant(
        "a mail that waits is sent after the end",
        "workflows/verify_otp.py",
        "            if self._runner.is_pointless(job) and not task.cancelling():\n",
        "            if False:\n",
    ),
    Mutant(
        "each mail has a code of its own",
        f"{_RULES}/jobs.py",
        "    task = MailToSend(\n        **_code_of(sign_in),\n",
        '    task = MailToSend(\n        **{**_code_of(sign_in), "nonce": f"{sign_in.nonce}{mail.attempt}"},\n',
    ),
    Mutant(
        "sending again prolongs the code",
        f"{_RULES}/mails.py",
        "        sign_in.last_send_at = now\n",
        "        sign_in.last_send_at = now\n"
        "        sign_in.expires_at = now + timedelta(seconds=sign_in.otp.lifetime_s)\n",
    ),
    # Determinism, and what goes into histories
    Mutant(
        "a workflow draws its own random numbers",
        "workflows/verify_otp.py",
        "{_OVERFLOW}{workflow.uuid4()}",
        "{_OVERFLOW}{__import__('uuid').uuid4()}",
    ),
    Mutant(
        "a workflow looks at the worker's clock",
        "workflows/sign_in.py",
        "            decided_at=workflow.now(),\n            key_id=",
        "            decided_at=__import__('datetime').datetime.now(__import__('datetime').UTC),\n            key_id=",
    ),
    Mutant(
        "codes go into Temporal in the clear",
        "consumers/gateway/temporal.py",
        "            seal=seal,\n",
        "            seal=event.code,\n",
    ),
)
"""Numbered after those of the consumer half."""
