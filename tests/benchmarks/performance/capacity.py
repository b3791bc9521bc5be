"""The capacity model: the measured cost of one sign-in times a rate. Each run writes it to ``docs/capacity.md``."""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

_RATES: Final = (100, 1_000, 10_000)
_BUSY: Final = 0.6
"""The share of a core that may be in use on average. The rest is for peaks, deployments and failed processes."""
_PARTITIONS_PER_PROCESS: Final = 2
_WRITES: Final = 13
_WRITES_AT_THE_END: Final = 6
ACTIONS: Final = 8
"""What Temporal Cloud bills for a sign-in, up to its result. A test on a real server bounds it by this."""
_ACTIONS_OF_THE_USUAL_WAY: Final = 10
_DOLLARS_PER_MILLION_ACTIONS: Final = 50
_S_PER_HOUR: Final = 3_600
_WRITES_PER_SHARD_AND_S: Final = 100
_WRITES_PER_CELL_AND_S: Final = 20_000
_MAIL_S: Final = 0.05
_PEAK_TO_MEAN: Final = 3
_DAY_S: Final = 86_400
_ON_CLUSTER: Final = "four services and PostgreSQL as in production, on one machine"
_ON_DEV_SERVER: Final = "the dev server: do not size a cluster by it, but measure with `make bench ARGS=--cluster`"
_HEAD: Final = """\
# Capacity

`make bench` writes this page from what it measured for one sign-in ([performance](performance.md)); do not edit it.

CPU, history and calls are measured. The number of writes was measured once, with the server's own metrics
(`persistence_requests`): a sign-in takes 11 updates and 2 creations of executions, 3 more updates when its timer fires
after it has ended, and 3 when its mailbox ends. What a shard, a database and a mail server can do is assumed, and
marked as such: use your own figures instead.
Rates are peak rates; the average over a day is assumed to be a third of the peak.

"""
_TAIL: Final = """
## How to read it

* **Workers.** A process uses one core, because of Python's global interpreter lock. To scale, add processes; they share
  nothing. Each handles {per} sign-ins per second at {busy} % of a core, with {worker} ms per sign-in at given traffic.
  P8 projects how processes scale ([performance](performance.md#targets)).
* **Partitions.** Two per process, so that adding or removing a process moves little. Order is kept within a partition.
  More partitions than processes cost nothing; with fewer, some processes are idle. Plan for the peak in two years:
  adding partitions later moves keys, and two events of one key may then be handled concurrently. They are idempotent,
  but a submission may wait up to 10 s.
* **Temporal.** A write is a transaction on an execution: {writes} per sign-in, and {end} until its mailbox ends.
  A shard does one write at a time: about {shard} per second, at 5 ms each and half load (assumed). The number of
  shards is fixed for the life of a cluster: take the next power of two and double it. A shard also looks for tasks at
  most 20 times a second (`history.transferProcessorMaxPollRPS`), and a single sign-in makes it look six times: below
  three sign-ins per second and shard, as here, nobody waits for that. A sign-in takes {server} ms of CPU at given
  traffic, its database included, on {server_is}.
* **Database.** A good primary handles about {cell} such writes per second (assumed). Beyond that, run **cells**, each
  with its own Kafka cluster, Temporal cluster and workers; the service that emits the events chooses a cell by a digest
  of the canonical mailbox. Mailboxes are independent, so cells share nothing, and a failed cell affects only its own
  share of the people.
* **Open mailboxes** are the distinct mailboxes of the last day: at most one per sign-in. History is kept for the
  lingering day and the namespace's retention.
* **Kafka.** A plain sign-in takes two records in and two out. CPU is that of one broker, {broker} ms per sign-in with
  one record per batch. At these rates, records share batches, but replicas are written, too.
* **Mail.** One per sign-in. The number of connections is the rate times the mail server's time per mail, {mail} ms here
  (assumed). Each connection sends `SIGNIN_SMTP__MAILS_PER_CONNECTION` mails. The real limit is your provider's rate;
  `SIGNIN_LIMITS__MAILS_PER_SECOND` keeps all workers below it. Mails then wait in Temporal, those for trusted devices
  first.
* **Siteverify** gets one call per request. **DNS** gets one per domain and time to live.
"""


_COST: Final = """
## What a million sign-ins cost

On Temporal Cloud, Actions cost money. How many a sign-in takes was counted by the server's own metric (`action`);
`tests/integration/test_cost_of_a_sign_in.py` bounds it. The price is an assumption: {price} dollars per million, the
list price of a month's first millions (temporal.io/pricing, as of July 2026); it falls with volume. The plan's monthly
price and storage come on top.

| a million sign-ins | Actions | dollars |
| --- | --- | --- |
| up to the result | {actions} million | {dollars} |
| until the mailbox ends, if nobody signs in twice a day | {all_actions} million | {all_dollars} |
| the usual way | {usual} million | {usual_dollars} |

The {actions}: a start, 2 signals with start, an activity (the mail), a timer, 3 batches of markers (local activities).
One more timer ends a mailbox a day after its last use; it is started once for all sign-ins of a day.

For who runs Temporal alone, CPU and storage cost money:

| a million sign-ins | |
| --- | --- |
"""


class _SignIn(NamedTuple):
    """What a sign-in takes: ms of CPU, calls to Temporal, bytes of history."""

    worker_ms: float
    server_ms: float
    broker_ms: float
    calls: float
    history_bytes: int


def rendered(known: dict[str, Any]) -> str:
    """Return the page, from the data of ``docs/performance.json``.

    What was measured on Temporal as it runs in production is used if it is there.
    """
    on_cluster = known.get("cluster", {}).get("ways")
    cost = _sign_in(known["cluster"] if on_cluster else known)
    rows = [
        ("sign-ins per second", *(f"{rate:,}" for rate in _RATES)),
        ("---",) * (len(_RATES) + 1),
    ]
    rows += [(name, *(value(cost, rate) for rate in _RATES)) for name, value in _ROWS]

    tail = _TAIL.format(
        per=math.floor(_BUSY * 1_000 / cost.worker_ms),
        busy=round(_BUSY * 100),
        worker=round(cost.worker_ms),
        server=round(cost.server_ms),
        server_is=_ON_CLUSTER if on_cluster else _ON_DEV_SERVER,
        broker=round(cost.broker_ms),
        writes=_WRITES,
        end=_WRITES_AT_THE_END,
        shard=_WRITES_PER_SHARD_AND_S,
        cell=f"{_WRITES_PER_CELL_AND_S:,}",
        mail=round(_MAIL_S * 1_000),
    )

    return _HEAD + _table(rows) + _cost(known["ways"]["ours"], (on_cluster or {}).get("ours")) + tail


def _sign_in(figures: dict[str, Any]) -> _SignIn:
    """Return the costs at given traffic (P1, P2). Where these were not measured, those in a crowd, which are lower."""
    ours = figures["ways"]["ours"]
    at_given_traffic = {name: figures.get(name, {}).get("notes", {}).get("ours, ms") for name in ("P1", "P2")}

    return _SignIn(
        worker_ms=at_given_traffic["P2"] or _cpu_ms(ours, "worker"),
        server_ms=at_given_traffic["P1"] or _cpu_ms(ours, "server"),
        broker_ms=_cpu_ms(ours, "broker"),
        calls=ours["grpc_calls"]["value"],
        history_bytes=ours["history_bytes"],
    )


def _cost(ours: dict[str, Any], on_cluster: dict[str, Any] | None) -> str:
    """Return what a million sign-ins cost."""
    dollars = {actions: f"{actions * _DOLLARS_PER_MILLION_ACTIONS:,}" for actions in range(1, 20)}
    head = _COST.format(
        price=_DOLLARS_PER_MILLION_ACTIONS,
        actions=ACTIONS,
        dollars=dollars[ACTIONS],
        all_actions=ACTIONS + 1,
        all_dollars=dollars[ACTIONS + 1],
        usual=_ACTIONS_OF_THE_USUAL_WAY,
        usual_dollars=dollars[_ACTIONS_OF_THE_USUAL_WAY],
    )

    rows = [
        ("hours of a core, workers", _hours(ours, "worker")),
        ("hours of a core, Temporal's dev server with its database", _hours(ours, "server")),
        ("history, before replication", f"{ours['history_bytes'] / 1e3:,.1f} GB"),
        ("transactions on executions", f"{_WRITES + _WRITES_AT_THE_END} million"),
        *_on_cluster(on_cluster),
    ]
    return head + _table(rows)


def _on_cluster(ours: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the rows for Temporal on PostgreSQL."""
    counted = (ours or {}).get("database")
    if ours is None or not counted:
        return [("on PostgreSQL", "not measured yet: `make bench ARGS=--cluster`")]

    return [
        ("hours of a core, Temporal's services", _hours(ours, "server")),
        ("hours of a core, PostgreSQL", _hours(ours, "database")),
        ("transactions of PostgreSQL", f"{counted['transactions']['value']:,.0f} million"),
        ("rows written", f"{counted['rows_written']['value']:,.0f} million"),
        ("PostgreSQL's log (WAL)", f"{counted['wal_bytes']['value'] / 1e3:,.1f} GB"),
    ]


def _hours(ours: dict[str, Any], part: str) -> str:
    return f"{_cpu_ms(ours, part) * 1e6 / 1e3 / _S_PER_HOUR:,.1f}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def processes(cpu_ms: float, rate: int) -> int:
    """Return how many workers ``rate`` sign-ins per second need: at least two."""
    return max(2, math.ceil(rate * cpu_ms / 1_000 / _BUSY))


def shards(rate: int) -> int:
    """Return the number of history shards: the power of two that the writes need, doubled."""
    needed = rate * (_WRITES + _WRITES_AT_THE_END) / _WRITES_PER_SHARD_AND_S
    return int(2 * 2 ** math.ceil(math.log2(needed)))


def _cells(rate: int) -> int:
    return math.ceil(rate * (_WRITES + _WRITES_AT_THE_END) / _WRITES_PER_CELL_AND_S)


def _cpu_ms(ours: dict[str, Any], part: str) -> float:
    return float(ours["cpu_ms_per_signin"][part]["value"])


def _cores(cpu_ms: float, rate: int) -> str:
    return f"{rate * cpu_ms / 1_000 / _BUSY:,.0f}"


def _daily(rate: int) -> float:
    return rate / _PEAK_TO_MEAN * _DAY_S


def _terabytes(cost: _SignIn, rate: int) -> str:
    return f"{_daily(rate) * cost.history_bytes / 1e12:,.2f} TB"


_ROWS: Final = (
    ("worker processes, one core each", lambda cost, rate: f"{processes(cost.worker_ms, rate):,}"),
    (
        "partitions of each inbound topic",
        lambda cost, rate: f"{_PARTITIONS_PER_PROCESS * processes(cost.worker_ms, rate):,}",
    ),
    ("records per second, in and out", lambda _, rate: f"{4 * rate:,}"),
    ("Kafka, cores", lambda cost, rate: _cores(cost.broker_ms, rate)),
    ("Temporal with its database, cores", lambda cost, rate: _cores(cost.server_ms, rate)),
    ("Temporal, calls per second", lambda cost, rate: f"{cost.calls * rate:,.0f}"),
    ("Temporal, writes per second", lambda _, rate: f"{(_WRITES + _WRITES_AT_THE_END) * rate:,}"),
    ("history shards in all cells (assumed)", lambda _, rate: f"{shards(rate):,}"),
    ("cells, each with its own database (assumed)", lambda _, rate: f"{_cells(rate):,}"),
    ("open mailboxes on an average day (upper bound)", lambda _, rate: f"{_daily(rate) / 1e6:,.1f} million"),
    ("history on an average day, before replication", _terabytes),
    ("SMTP connections (assumed)", lambda _, rate: f"{max(1, math.ceil(rate * _MAIL_S)):,}"),
)
