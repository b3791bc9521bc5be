"""What runs have shown: ``docs/simulation.json``, and the page made of it."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from deploy.local.places import PROJECT
from tests.faults.versions import commit
from tests.simulation.findings import FINDINGS
from tests.simulation.mutant import Mutant
from tests.simulation.verdicts import Verdict

DATA: Final = PROJECT / "docs" / "simulation.json"
PAGE: Final = PROJECT / "docs" / "simulation.md"

_HALVES: Final = {"workflows": "Workflow half", "consumer": "Consumer half"}
_HEAD: Final = """\
# Random orders of events, each from a seed

`make simulate ARGS="--half HALF --seeds N --write"` and `make simulate ARGS="--half HALF --mutants --write"` write this
page and `simulation.json`; do not edit them.

A seed decides everything: who does what and when, in which order things happen, what fails, and how. The same seed
gives the same story, byte for byte. Time is simulated, so hours pass in milliseconds.

* **Workflow half.** The real workflows on the SDK's own workflow instances, the real activities, and the real gateway
  of the consumer, against a model of Temporal that does all that it may do
  ([ADR 32](adr/0032-a-model-of-temporal.md)).
* **Consumer half.** The real consumer with the real Kafka client on a deterministic event loop, against a scripted
  cluster ([ADR 33](adr/0033-an-event-loop-of-our-own.md)). In seven of ten worlds all sorts of things go wrong; in the
  others a scene is played in which little does, and more is expected.

After each seed an oracle compares what the world saw with what [the contract](events.md) and
[the security page](security.md) promise. `make simulate ARGS="--half workflows --seed 7 --trace"` tells a seed's
story, `--shrink` the part of it that a violation needs.
"""
_SUMMARY_HEAD: Final = """\
## Runs

| half | commit | seeds | violations | seeds a second | processes | simulated hours |
|---|---|---|---|---|---|---|
"""


class Tally:
    """What many seeds have shown together."""

    def __init__(self) -> None:
        self.seeds = 0
        self.simulated_s = 0.0
        self.violations = 0
        self.events: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        """Count a seed."""
        self.seeds += 1
        self.simulated_s += verdict.simulated_s
        self.violations += len(verdict.violations)
        self.events.update(verdict.kinds)
        self.reached.update(verdict.kinds.keys())

    def rows(self) -> Iterator[tuple[str, int, int]]:
        """Yield each kind of event, how often it happened, and in how many seeds."""
        for kind in sorted(self.events):
            yield kind, self.events[kind], self.reached[kind]


def write_run(half: str, tally: Tally, took_s: float, processes: int | None) -> None:
    """Keep what a run of seeds has shown, and write the page."""
    data = _data()
    data.setdefault("runs", {})[half] = {
        "commit": commit(),
        "seeds": tally.seeds,
        "violations": tally.violations,
        "seeds_a_second": round(tally.seeds / took_s, 1),
        "processes": processes or os.cpu_count() or 1,
        "simulated_hours": round(tally.simulated_s / 3_600, 1),
        "coverage": {kind: [events, seeds] for kind, events, seeds in tally.rows()},
    }
    _write(data)


def write_mutants(half: str, found: Sequence[tuple[Mutant, int | None, str]]) -> None:
    """Keep how many seeds each mutant took, None if it was not found, and write the page."""
    data = _data()
    data.setdefault("mutants_commit", {})[half] = commit()
    data.setdefault("mutants", {})[half] = [
        {"what": mutant.what, "file": mutant.file, "seeds": seeds, "violation": violation}
        for mutant, seeds, violation in found
    ]
    _write(data)


def rendered(data: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = [_HEAD, "".join(_summary(data)), *_findings()]
    for half, title in _HALVES.items():
        parts += _mutants(title, data.get("mutants", {}).get(half, []), data.get("mutants_commit", {}).get(half, ""))
    for half, title in _HALVES.items():
        parts += _coverage(title, data.get("runs", {}).get(half))
    return "\n".join(parts)


def _data() -> dict[str, Any]:
    return dict(json.loads(DATA.read_text())) if DATA.exists() else {}


def _write(data: Mapping[str, Any]) -> None:
    DATA.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(rendered(data))


def _summary(data: Mapping[str, Any]) -> Iterator[str]:
    yield _SUMMARY_HEAD
    for half, title in _HALVES.items():
        run = data.get("runs", {}).get(half)
        if run is not None:
            figures = (run["seeds"], run["violations"], run["seeds_a_second"], run["processes"], run["simulated_hours"])
            commit = run.get("commit", "")
            yield f"| {title} | {commit} | {' | '.join(f'{figure:,}' for figure in figures)} |\n"


def _findings() -> Iterator[str]:
    yield "## What it found\n"
    for finding in FINDINGS:
        yield f"* **{finding.what}** ({finding.half} half; {finding.shown_by}). {finding.story} *Fix:* {finding.fix}"
    yield ""


def _mutants(title: str, found: Sequence[Mapping[str, Any]], commit: str) -> Iterator[str]:
    if not found:
        return

    missed = sum(one["seeds"] is None for one in found)
    yield f"## {title}: mutants\n\nEach breaks the worker on purpose. The figure: how many seeds it took to notice."
    yield f"{len(found)} mutants, {missed} not found. Commit: {commit or 'not noted'}.\n"
    yield "| change | file | seeds | what was noticed |\n|---|---|---|---|"
    for one in found:
        seeds = "not found" if one["seeds"] is None else one["seeds"]
        violation = one["violation"].replace("|", "\\|")
        yield f"| {one['what']} | `{one['file']}` | {seeds} | {violation} |"
    yield ""


def _coverage(title: str, run: Mapping[str, Any] | None) -> Iterator[str]:
    if run is None:
        return

    yield f"## {title}: events reached\n\n| kind of event | events | seeds |\n|---|---|---|"
    for kind, (events, seeds) in run["coverage"].items():
        yield f"| {kind} | {events:,} | {seeds:,} |"
    yield ""
