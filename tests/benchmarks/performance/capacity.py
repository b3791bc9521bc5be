"""The capacity model: what was measured for one sign-in, times many. Each run makes ``docs/capacity.md`` of it."""

import math
from typing import Any, Final

_RATES: Final = (100, 1_000, 10_000)
_BUSY: Final = 0.6
"""The share of a core that may be in use on average: the rest is for peaks, deploys and a neighbour that died."""
_PARTITIONS_PER_PROCESS: Final = 2
_WRITES: Final = 15
_WRITES_AT_THE_END: Final = 3
_WRITES_PER_SHARD_AND_S: Final = 100
_WRITES_PER_CELL_AND_S: Final = 20_000
_MAIL_S: Final = 0.05
_PEAK_TO_MEAN: Final = 3
_DAY_S: Final = 86_400
_HEAD: Final = """\
# Capacity

Made by `make bench` from what it measured for one sign-in ([performance](performance.md)), times many. Measured: CPU,
history, calls; once, by the server's own metrics (`persistence_requests`): 13 updates and 2 creations of executions,
and 3 updates when a mailbox ends. Assumed, and marked so: what a shard, a database and a mail server can do; replace
those by your own figures. A rate is that of the peak; the mean of a day is taken as a third of it.

"""
_TAIL: Final = """
## How to read it

* **Workers.** One process uses one core: Python's lock. It scales by processes and by nothing else; they share
  nothing. {per} sign-ins a second each at {busy} % of a core; P8 shows that three do three times as much.
* **Partitions.** Two for each process, so that one more or less shifts little. Keys keep their order in a partition;
  more partitions than processes cost nothing, fewer leave processes idle. Choose for the peak in two years: adding
  some later moves keys, and two events of one key may then be on their way side by side (they are idempotent; a
  submission may wait its 10 s).
* **Temporal.** Writes are transactions on an execution, {writes} for a sign-in and {end} when its mailbox ends. One
  shard does one at a time: about {shard} a second at 5 ms each and half load (assumed). The number of shards is fixed
  for the life of a cluster: take the next power of two, and double it. A shard also looks for tasks to hand out 20
  times a second at most (`history.transferProcessorMaxPollRPS`), and a sign-in that is alone makes it look six times:
  with fewer than three a second and shard, as here, nobody waits for that. CPU is that of the dev server with its
  database within: an upper bound for frontend, history and matching together.
* **Database.** About {cell} such writes a second are one good primary (assumed). Beyond, run **cells**: a Kafka
  cluster, a Temporal cluster and workers of their own, chosen by a digest of the canonical mailbox where events are
  emitted. No mailbox ever needs to know of another, so cells share nothing, and one that fails takes its share of the
  people with it, not all.
* **Open mailboxes** are the distinct ones of the last day: at most one for each sign-in of a day. History stays for
  the lingering day and the namespace's retention.
* **Kafka.** Two records in and two out for a sign-in without detours. CPU is that of one broker with one record in a
  batch: at these rates records share batches, and it is an upper bound.
* **Mail.** One for each sign-in. Connections are the rate times the time that the server takes for a mail, {mail} ms
  here (assumed), each used for `SIGNIN_SMTP__MAILS_PER_CONNECTION` mails. What bounds it is the provider's rate for
  your senders; `SIGNIN_LIMITS__MAILS_PER_SECOND` holds all workers to it, and mails wait in Temporal, trusted devices
  first.
* **Siteverify** is asked once for each request, DNS once for each domain and its time to live.
"""


def rendered(ways: dict[str, Any]) -> str:
    """Return the document, from ``ways`` as a run describes them."""
    ours = ways["ours"]
    per_process = round(_BUSY * 1_000 / _cpu_ms(ours, "worker"))
    rows = [("sign-ins a second", *(f"{rate:,}" for rate in _RATES)), ("---",) * (len(_RATES) + 1)]
    rows += [(name, *(value(ours, rate) for rate in _RATES)) for name, value in _ROWS]
    tail = _TAIL.format(
        per=per_process,
        busy=round(_BUSY * 100),
        writes=_WRITES,
        end=_WRITES_AT_THE_END,
        shard=_WRITES_PER_SHARD_AND_S,
        cell=f"{_WRITES_PER_CELL_AND_S:,}",
        mail=round(_MAIL_S * 1_000),
    )

    return _HEAD + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n" + tail


def processes(ours: dict[str, Any], rate: int) -> int:
    """Return how many workers ``rate`` sign-ins a second take, two at least."""
    return max(2, math.ceil(rate * _cpu_ms(ours, "worker") / 1_000 / _BUSY))


def shards(rate: int) -> int:
    """Return the history shards: a power of two, twice what the writes take."""
    needed = rate * (_WRITES + _WRITES_AT_THE_END) / _WRITES_PER_SHARD_AND_S
    return int(2 * 2 ** math.ceil(math.log2(needed)))


def _cells(rate: int) -> int:
    return math.ceil(rate * (_WRITES + _WRITES_AT_THE_END) / _WRITES_PER_CELL_AND_S)


def _cpu_ms(ours: dict[str, Any], part: str) -> float:
    return float(ours["cpu_ms_per_signin"][part]["value"])


def _cores(part: str) -> Any:
    return lambda ours, rate: f"{rate * _cpu_ms(ours, part) / 1_000 / _BUSY:,.0f}"


def _daily(rate: int) -> float:
    return rate / _PEAK_TO_MEAN * _DAY_S


def _terabytes(ours: dict[str, Any], rate: int) -> str:
    return f"{_daily(rate) * ours['history_bytes'] / 1e12:,.2f} TB"


_ROWS: Final = (
    ("worker processes, a core each", lambda ours, rate: f"{processes(ours, rate):,}"),
    ("partitions of each inbound topic", lambda ours, rate: f"{_PARTITIONS_PER_PROCESS * processes(ours, rate):,}"),
    ("records a second, in and out", lambda ours, rate: f"{4 * rate:,}"),
    ("Kafka, cores at most", _cores("broker")),
    ("Temporal, cores at most", _cores("server")),
    ("Temporal, calls a second", lambda ours, rate: f"{ours['grpc_calls']['value'] * rate:,.0f}"),
    ("Temporal, writes a second", lambda ours, rate: f"{(_WRITES + _WRITES_AT_THE_END) * rate:,}"),
    ("history shards, of all cells (assumed)", lambda ours, rate: f"{shards(rate):,}"),
    ("cells, each with a database (assumed)", lambda ours, rate: f"{_cells(rate):,}"),
    ("open mailboxes at most, of a mean day", lambda ours, rate: f"{_daily(rate) / 1e6:,.1f} million"),
    ("history a mean day, before replication", _terabytes),
    ("SMTP connections (assumed)", lambda ours, rate: f"{max(1, math.ceil(rate * _MAIL_S)):,}"),
)
