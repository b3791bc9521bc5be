"""What SECURITY S8 and CONTRACT promise about codes and addresses: they are in mails, and nowhere else."""

import re
from collections.abc import Iterator, Sequence

from tests.simulation.workflows.ledger import Ledger
from tests.simulation.workflows.runs import Run


def judge_secrets(ledger: Ledger, runs: Sequence[Run]) -> Iterator[str]:
    """Yield codes in histories and results, and addresses in results and in what is not encrypted."""
    for one in {one.ce_id: one for one in ledger.published}.values():
        if b"@" in one.value or b"@" in one.key or any(b"@" in value for _, value in one.headers):
            yield f"{one.result.signin_id}: an address in a result"
    for run in runs:
        if "@" in run.workflow_id or any("@" in str(pair.value) for pair in run.attributes):
            yield "an address in what is not encrypted"

    codes = {one.mail.code.get_secret_value().encode() for one in ledger.mails}
    if not codes:
        return

    # Not within a longer number or word, nor after the point of a second.
    pattern = re.compile(rb"(?<![0-9A-Za-z_.\-])(" + b"|".join(sorted(codes)) + rb")(?![0-9A-Za-z_\-])")
    for run in runs:
        for step in run.steps:
            if pattern.search(step.activation.SerializeToString()) or any(map(pattern.search, step.commands)):
                yield f"{run.workflow_id}: a code in its history"
                return
    if any(pattern.search(one.value) for one in ledger.published):
        yield "a code in a result"
