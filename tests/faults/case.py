"""Defines a case, runs it and records the finding."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.local.places import cache_folder
from tests.faults.audit import Audit
from tests.faults.history import History, SecondOpinion, judged
from tests.faults.recorder import Recorder
from tests.faults.servers import Servers
from tests.faults.stage import Scale, Stage, open_stage

MAX_SHOWN = 12
MAX_MEMORY_BYTES = 512_000_000  # an idle worker takes 120 MB, and caches up to 1,000 workflows


@dataclass(frozen=True)
class Case:
    """One fault. ``inject`` causes it while people sign in, and returns one line about what it observed.

    ``brokers`` is the number of Kafka brokers that it needs: one or three. ``recorded`` says whether its history is
    recorded and judged by a second program. ``on_cluster`` says whether it needs Temporal as it runs in production.
    """

    name: str
    injected: str
    inject: Callable[[Stage], Awaitable[str]]
    settings: Mapping[str, str] = field(default_factory=dict)
    within_s: float = 900
    may_expire: bool = False
    brokers: int = 1
    recorded: bool = False
    on_cluster: bool = False


@dataclass
class Finding:
    """The result of a case. ``recovery_s`` is the longest time from the end of a fault until everything was done."""

    name: str
    injected: str
    seen: str
    people: int
    recovery_s: float | None
    peak_rss_mb: int
    took_s: float
    audit: Audit
    problems: list[str]
    second_opinion: SecondOpinion | None = None

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.all_problems

    @property
    def all_problems(self) -> list[str]:
        """What went wrong during the case, and the promises that the audit or the second program found broken."""
        second = self.second_opinion.violations if self.second_opinion else []
        return self.problems + self.audit.broken + second

    def as_json(self) -> dict[str, Any]:
        """Return the finding as a member of ``docs/faults.json``."""
        audit = self.audit
        recovery_s = None if self.recovery_s is None else round(self.recovery_s, 1)

        return {
            "injected": self.injected,
            "seen": self.seen,
            "holds": self.holds,
            "people": self.people,
            "records": dict(audit.outcomes),
            "repeated_results": audit.repeated_results,
            "second_mails": audit.second_mails,
            "repeated_dead_letters": audit.repeated_dead_letters,
            "redelivered_signals": audit.redelivered_signals,
            "recovery_s": recovery_s,
            "peak_rss_mb": self.peak_rss_mb,
            "took_s": round(self.took_s, 1),
            "trouble": self.all_problems[:MAX_SHOWN],
            "history": self.second_opinion and self.second_opinion.as_json(),
        }


async def run(case: Case, servers: Servers, scale: Scale) -> Finding:
    """Run a case and audit it. The finding includes whatever went wrong."""
    begun = time.monotonic()
    seen = ""
    problems = list[str]()
    audit = Audit()
    opinion = None
    async with open_stage(servers, scale, dict(case.settings)) as stage:
        recorder = open_recorder(case.name, stage) if case.recorded else None
        try:
            stage.ledger.may_expire = case.may_expire
            async with asyncio.timeout(case.within_s + 3 * scale.outage_s):
                seen = await case.inject(stage)
                audit = await stage.settle()
                opinion = await second_opinion(recorder) if recorder else None
        except Exception as error:  # one case must not end the programme
            problems.append(f"{type(error).__name__}: {error}")

        problems += stage.crowd.problems
        if stage.peak_rss > MAX_MEMORY_BYTES:
            problems.append(f"a worker took {stage.peak_rss:,} bytes of memory; {MAX_MEMORY_BYTES:,} are allowed")

        return Finding(
            name=case.name,
            injected=case.injected,
            seen=seen,
            people=stage.crowd.size,
            recovery_s=max(stage.recoveries_s, default=None),
            peak_rss_mb=stage.peak_rss // 1_000_000,
            took_s=time.monotonic() - begun,
            audit=audit,
            problems=problems,
            second_opinion=opinion,
        )


def open_recorder(name: str, stage: Stage) -> Recorder:
    """Begin to record the history of a case, in ``.cache/faults``."""
    return Recorder(History(cache_folder() / "faults" / f"{name}.jsonl"), stage)


async def second_opinion(recorder: Recorder) -> SecondOpinion:
    """Complete the history of a case; return what the second program says about it."""
    await recorder.close()
    return await judged(recorder.history.path)
