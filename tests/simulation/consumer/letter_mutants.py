"""Ways to break what dead letters say, how old records may be, and what a rebalance carries over."""

from typing import Final

from tests.simulation.mutant import Mutant

LETTER_MUTANTS: Final = (
    Mutant(
        "what is too large is parsed",
        "consumers/decode.py",
        "MAX_VALUE_BYTES: Final = 64 * 1024",
        "MAX_VALUE_BYTES: Final = 640 * 1024",
    ),
    Mutant(
        "a dead letter has another time than its record",
        "consumers/dead_letters/headers.py",
        "DltHeader.TIMESTAMP: str(record.timestamp_ms),",
        "DltHeader.TIMESTAMP: str(record.timestamp_ms + 1000),",
    ),
    Mutant(
        "a dead letter does not say whose it is",
        "consumers/dead_letters/headers.py",
        "        DltHeader.GROUP: group,\n",
        "",
    ),
    Mutant(
        "a dead letter counts its times from zero",
        "consumers/dead_letters/headers.py",
        "1 + _attempts(before) if origin else 1",
        "1 + _attempts(before) if origin else 0",
    ),
    Mutant(
        "a dead letter that comes again says when it failed last",
        "consumers/dead_letters/headers.py",
        'DltHeader.FAILED_AT: (failed_at or now).isoformat().replace("+00:00", "Z"),',
        "DltHeader.FAILED_AT: now.isoformat(),",
    ),
    Mutant(
        "a made-up origin of a dead letter counts",
        "consumers/dead_letters/headers.py",
        "origin[DltHeader.TOPIC] == topic and all(",
        "all(",
    ),
    Mutant(
        "the digest of a shortened dead letter is that of its key",
        "consumers/dead_letters/headers.py",
        '    value = record.value or b""\n',
        '    value = record.key or b""\n',
    ),
    Mutant(
        "a dead letter that is too large loses its key and headers, too",
        "consumers/handling/dead_lettering.py",
        "    yield _Form(record.key, None, shortened)\n",
        "",
    ),
    Mutant(
        "a submission is late after five minutes",
        "consumers/handling/dispatch.py",
        "limits.max_event_age_s + limits.lifetime_s)",
        "limits.max_event_age_s)",
    ),
    Mutant(
        "a submission that was put back is as young as it says",
        "consumers/decode.py",
        "if name == DltHeader.TIMESTAMP else None",
        "if False else None",
    ),
    Mutant(
        "a breaker of dead letters that was closed counts on",
        "consumers/handling/dead_lettering.py",
        "        self._counted_at.clear()\n        self._dead.clear()\n        self._all.clear()\n",
        "",
    ),
    Mutant(
        "a revocation commits before it has waited for what is in work",
        "consumers/polling/rebalancing.py",
        "            await self._lanes.drain(self._drain_s)\n"
        "            await self._committer.finish(self._assignment.watermarks())\n",
        "            await self._committer.finish(self._assignment.watermarks())\n"
        "            await self._lanes.drain(self._drain_s)\n",
    ),
    Mutant(
        "what a rebalance drops counts as in flight for ever",
        "consumers/polling/lanes.py",
        "        self._lanes.clear()\n        self.capacity.reset()\n",
        "        self._lanes.clear()\n",
    ),
    Mutant(
        "a partition without a committed offset is read on from where the client stands",
        "utils/kafka/source.py",
        "self._seek(assignment, beginnings | committed)",
        "self._seek(assignment, committed)",
    ),
    Mutant(
        "one old answer about the end of a log is believed",
        "consumers/polling/new_logs.py",
        "_ANSWERS_NEEDED: Final = 2",
        "_ANSWERS_NEEDED: Final = 1",
    ),
    Mutant(
        "two old answers about the end of a log are believed, however long one was after the other",
        "consumers/polling/new_logs.py",
        "            self._doubts.pop(this_log, None)\n",
        "            pass\n",
    ),
)
