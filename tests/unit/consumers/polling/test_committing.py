"""When watermarks are committed."""

import asyncio

from consumers.polling.committing import Committer
from consumers.ports import Partition
from tests.fakes.record_source import FakeBroker, FakeRecordSource
from tests.fakes.waiting import until

A = Partition("a", 0)
B = Partition("b", 1)


class Bench:
    """A committer on a broker in memory, with a stopwatch set by hand."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        self.now = 0.0
        self.broker = FakeBroker()
        self.source = FakeRecordSource(self.broker)
        self.committer = Committer(self.source, 1.0, timeout_s, lambda: self.now)


async def test_at_most_one_commit_a_second_is_made() -> None:
    """It holds only the watermarks that changed. Without a change there is no commit."""
    bench = Bench()
    bench.committer.start_if_due({A: 1, B: 2})
    await until(lambda: bench.broker.commits == [{A: 1, B: 2}])

    bench.committer.start_if_due({A: 1, B: 3})
    bench.now = 1.0
    await until(lambda: bench.committer.is_due)
    bench.committer.start_if_due({A: 1, B: 2})
    bench.committer.start_if_due({A: 1, B: 4})
    await until(lambda: len(bench.broker.commits) == 2)

    assert bench.broker.commits[1] == {B: 4}
    assert bench.committer.committed == {A: 1, B: 4}


async def test_commits_run_one_at_a_time_and_time_out() -> None:
    """A commit that hangs is given up. The next one commits the latest watermarks."""
    bench = Bench(timeout_s=0.01)
    bench.source.hang = {"commit"}
    bench.committer.start_if_due({A: 1})
    bench.now = 10.0
    bench.committer.start_if_due({A: 2})

    assert not bench.committer.is_due

    await until(lambda: bench.committer.is_due)

    assert bench.committer.committed == {}

    bench.source.hang = set()
    bench.committer.start_if_due({A: 3})
    await until(lambda: bench.committer.committed == {A: 3})

    assert bench.broker.commits == [{A: 3}]


async def test_a_failed_commit_is_repeated() -> None:
    """Its watermarks are part of the next commit that is due."""
    bench = Bench()
    bench.broker.down = True
    bench.committer.start_if_due({A: 1})
    bench.now = 1.0
    await until(lambda: bench.committer.is_due)

    bench.broker.down = False
    bench.committer.start_if_due({A: 1})
    await until(lambda: bench.broker.committed == {A: 1})


async def test_the_last_commit_cancels_the_running_one() -> None:
    """So the older one cannot land later."""
    bench = Bench(timeout_s=1000)
    bench.source.hang = {"commit"}
    bench.committer.start_if_due({A: 1})
    await asyncio.sleep(0)

    bench.source.hang = set()
    await asyncio.wait_for(bench.committer.finish({A: 2}), 5)
    bench.source.released.set()
    for _ in range(10):
        await asyncio.sleep(0)

    assert bench.broker.commits == [{A: 2}]
    assert bench.committer.committed == {}

    await bench.committer.finish({})

    assert len(bench.broker.commits) == 1
