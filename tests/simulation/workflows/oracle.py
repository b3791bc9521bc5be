"""What must hold, whatever happens: written from CONTRACT and SECURITY alone."""

from collections.abc import Iterator, Sequence
from typing import Final

from schemas.policy import Policy
from tests.simulation.workflows.answer_rules import ANSWER_RULES, judge_waiting
from tests.simulation.workflows.budget_rules import judge_budgets
from tests.simulation.workflows.cases import cases_of
from tests.simulation.workflows.ledger import Ledger, Published
from tests.simulation.workflows.mail_rules import MAIL_RULES
from tests.simulation.workflows.result_rules import RESULT_RULES
from tests.simulation.workflows.retry_rules import judge_retries
from tests.simulation.workflows.runs import Run
from tests.simulation.workflows.secret_rules import judge_secrets

MAX_EVENTS: Final = 10_000


def judge(ledger: Ledger, policy: Policy, runs: Sequence[Run]) -> Iterator[str]:
    """Yield every violation."""
    yield from judge_bytes(ledger.published)
    cases = cases_of(ledger, policy)
    for case in cases:
        for rule in (*RESULT_RULES, *MAIL_RULES, *ANSWER_RULES):
            yield from (f"{case.name}: {text}" for text in rule(case))

    yield from judge_budgets(cases, ledger, policy)
    yield from judge_retries(cases, policy)
    yield from judge_waiting(ledger)
    yield from judge_secrets(ledger, runs)
    yield from (f"{run.workflow_id}: {run.length} events" for run in runs if run.length >= MAX_EVENTS)


def judge_bytes(published: Sequence[Published]) -> Iterator[str]:
    """Yield results of one ``ce_id`` whose bytes differ."""
    known: dict[str, Published] = {}
    for one in published:
        first = known.setdefault(one.ce_id, one)
        if (first.key, first.value, first.headers) != (one.key, one.value, one.headers):
            yield f"{one.result.signin_id}: two values of one ce_id: {first.value!r} and {one.value!r}"
