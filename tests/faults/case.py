"""What a case is, and running one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.ledger import Account
from tests.faults.servers import Servers
from tests.faults.stage import Scale, Stage, stage

MOST_SHOWN = 12
MOST_MEMORY = 512_000_000  # bytes; a worker that waits for nothing takes 120 MB, and caches 1,000 workflows


@dataclass(frozen=True)
class Case:
    """One fault. ``inject`` does it, between people who come and go, and returns what was seen."""

    name: str
    injected: str
    inject: Callable[[Stage], Awaitable[str]]
    settings: Mapping[str, str] = field(default_factory=dict)
    within_s: float = 900
    may_expire: bool = False


@dataclass
class Finding:
    """What a case showed. ``recovery_s`` is the longest time until all was done after a fault had ended."""

    name: str
    injected: str
    seen: str
    people: int
    recovery_s: float | None
    peak_rss_mb: int
    took_s: float
    account: Account
    trouble: list[str]

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.trouble and not self.account.broken

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        own = self.account
        return {
            "injected": self.injected,
            "seen": self.seen,
            "holds": self.holds,
            "people": self.people,
            "records": dict(own.outcomes),
            "repeated_results": own.repeated_results,
            "second_mails": own.second_mails,
            "repeated_dead_letters": own.repeated_dead_letters,
            "redelivered_signals": own.redelivered_signals,
            "recovery_s": None if self.recovery_s is None else round(self.recovery_s, 1),
            "peak_rss_mb": self.peak_rss_mb,
            "took_s": round(self.took_s, 1),
            "trouble": (self.trouble + own.broken)[:MOST_SHOWN],
        }


async def run(case: Case, servers: Servers, scale: Scale) -> Finding:
    """Run a case and account for it. Whatever goes wrong is in the finding."""
    begun = time.monotonic()
    seen = ""
    trouble = list[str]()
    account = Account()
    async with stage(servers, scale, dict(case.settings)) as scene:
        try:
            scene.ledger.may_expire = case.may_expire
            async with asyncio.timeout(case.within_s + 3 * scale.outage_s):
                seen = await case.inject(scene)
                account = await scene.settle()
        except Exception as error:  # one case must not end the programme
            trouble.append(f"{type(error).__name__}: {error}")

        trouble += scene.crowd.trouble
        if scene.peak_rss > MOST_MEMORY:
            trouble.append(f"a worker took {scene.peak_rss:,} bytes of memory; {MOST_MEMORY:,} are allowed")

        return Finding(
            name=case.name,
            injected=case.injected,
            seen=seen,
            people=scene.crowd.size,
            recovery_s=max(scene.recoveries_s, default=None),
            peak_rss_mb=scene.peak_rss // 1_000_000,
            took_s=time.monotonic() - begun,
            account=account,
            trouble=trouble,
        )
