"""What was wrong with the workflows once, put back."""

from typing import Final

from tests.simulation.mutant import Mutant

_RULES: Final = "workflows/rules"

DEFECTS_OF_ISSUE_21: Final = (
    Mutant(
        "a run that is full goes on while a mail is in flight (issue 21, defect 1)",
        "workflows/verify_otp.py",
        "        if self._run_limits.are_exceeded:\n",
        "        if False:\n",
    ),
    Mutant(
        "a backlog stays in the mailbox (issue 21, defect 1)",
        f"{_RULES}/outbox.py",
        "        if sum(ended.values()) <= MAX_CARRIED_RESULTS:\n",
        "        if True:\n",
    ),
    Mutant(
        "a run has no age (issue 21, defect 2)",
        "workflows/run_limits.py",
        "            or workflow.now() >= self._hand_over_at\n",
        "",
    ),
    Mutant(
        "a mailbox stays with its release (issue 21, defect 3)",
        "workflows/run_limits.py",
        "            or info.is_target_worker_deployment_version_changed()\n",
        "",
    ),
    Mutant(
        "a sign-in expires while its mail is in flight (issue 21, defect 4)",
        f"{_RULES}/endings.py",
        "        return is_waiting or has_answer or",
        "        return has_answer or",
    ),
    Mutant(
        "a sign-in expires though its mail was accepted (issue 21, defect 4)",
        f"{_RULES}/endings.py",
        "        return is_waiting or has_answer or",
        "        return is_waiting or",
    ),
    Mutant(
        "a submission is decided as of the task's time (issue 21, defect 5)",
        f"{_RULES}/mailbox.py",
        "at = self._catch_up(submission.read_at, now)",
        "at = self._catch_up(now, now)",
    ),
    Mutant(
        "an attempt is decided as of the task's time (issue 21, defect 5)",
        f"{_RULES}/mailbox.py",
        "at = self._catch_up(challenge.decided_at, now)",
        "at = self._catch_up(now, now)",
    ),
    Mutant(
        "a signal may be decided as of an earlier moment than the one before (issue 21, defect 5)",
        f"{_RULES}/moments.py",
        "return max(state.last_event_at, min(stamp, now + MAX_CLOCK_AHEAD))",
        "return min(stamp, now + MAX_CLOCK_AHEAD)",
    ),
    Mutant(
        "what is due is decided before the signals that came earlier (issue 21, defect 5)",
        f"{_RULES}/mailbox.py",
        "        if not are_signals_unread:\n",
        "        if True:\n",
    ),
    Mutant(
        "a success gives all failures back (issue 21, defect 6)",
        f"{_RULES}/budgets.py",
        "            ledger.spent = [spend for spend in ledger.spent if spend.signin_id != sign_in.signin_id]\n"
        "            ledger.in_a_row = 0\n",
        "            ledger.spent = []\n            ledger.in_a_row = 0\n",
    ),
    Mutant(
        "a mail server that refuses a second mail ends the sign-in (issue 21, defect 7)",
        f"{_RULES}/endings.py",
        "        if refused and sign_in.sent_at is None and len(refused) == len(sign_in.mails):\n",
        "        if refused:\n",
    ),
    Mutant(
        "a hand-over has no fence (issue 21, defect 9)",
        "workflows/sign_in.py",
        "        if self._is_done_again:\n",
        "        if False:\n",
    ),
    Mutant(
        "a mail may be accepted after its code expired (issue 21, defect 10)",
        "activities/delivery.py",
        "        if time_left <= timedelta():\n",
        "        if False:\n",
    ),
    Mutant(
        "a success may come without code_sent (issue 21, defect 10)",
        f"{_RULES}/endings.py",
        '        if sign_in.sent_at is None and ending.type == "succeeded":\n',
        "        if False:\n",
    ),
)
"""Numbered as in the issue."""
