"""The coordinator's side of a group, without a client."""

import asyncio
import random

import pytest

from tests.simulation.consumer.event_loop import SimulatedLoop
from tests.simulation.consumer.group import (
    ILLEGAL_GENERATION,
    MEMBER_ID_REQUIRED,
    OK,
    REBALANCING,
    UNKNOWN_MEMBER,
    Group,
    Joined,
    Synced,
)
from tests.simulation.story import Story


class Bench:
    """A group and what it answered."""

    def __init__(self) -> None:
        self.loop = SimulatedLoop(random.Random(0))
        self.commits: list[tuple[str, int, int]] = []
        self.joined: list[Joined] = []
        self.synced: list[Synced] = []
        self.group = Group(self.loop, Story(self.loop.time), lambda *commit: self.commits.append(commit))

    def let(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def join(self, member_id: str = "") -> str:
        """Send JoinGroup, twice if a new member needs its id first, and return the id."""
        if not member_id:
            self.group.join("", 10, 30, ("range", b""), self.joined.append)
            assert self.joined[-1].error == MEMBER_ID_REQUIRED
            member_id = self.joined[-1].member_id

        self.group.join(member_id, 10, 30, ("range", b""), self.joined.append)
        return member_id

    def sync(self, member_id: str) -> None:
        """Send SyncGroup with an assignment for this member."""
        self.group.sync(member_id, self.group.generation, [(member_id, b"all")], self.synced.append)


@pytest.fixture
def bench() -> Bench:
    """Give an empty group."""
    return Bench()


def test_a_member_joins_and_commits(bench: Bench) -> None:
    """The first member leads, hands itself the partitions, and its commits are stored."""
    member = bench.join()
    bench.let(1)
    bench.sync(member)

    assert bench.joined[-1][:5] == (OK, 1, "range", member, member)
    assert bench.synced == [Synced(OK, b"all")]
    assert bench.group.commit(member, 1, [("topic", 0, 5)]) == OK
    assert bench.commits == [("topic", 0, 5)]


def test_a_second_member_makes_the_first_join_again(bench: Bench) -> None:
    """Heartbeats say that the group rebalances. Who does not join in time is out."""
    first = bench.join()
    bench.let(1)
    bench.sync(first)
    second = bench.join()

    assert bench.group.heartbeat(first, 1) == REBALANCING
    assert bench.group.commit(first, 1, [("topic", 0, 6)]) == OK
    bench.let(31)
    assert bench.group.heartbeat(first, 1) == UNKNOWN_MEMBER
    assert bench.joined[-1].leader == second


def test_a_commit_of_an_old_generation_is_refused(bench: Bench) -> None:
    """So is one of a member that the group does not know."""
    member = bench.join()
    bench.let(1)
    bench.sync(member)
    bench.group.rebalance()
    bench.join(member)

    assert bench.group.generation == 2
    assert bench.group.commit(member, 1, [("topic", 0, 5)]) == ILLEGAL_GENERATION
    assert bench.group.commit("stranger", 2, [("topic", 0, 5)]) == UNKNOWN_MEMBER
    assert bench.commits == []


def test_a_member_that_is_silent_for_its_session_is_out(bench: Bench) -> None:
    """The group is empty then."""
    member = bench.join()
    bench.let(1)
    bench.sync(member)
    bench.let(11)

    assert bench.group.heartbeat(member, 1) == UNKNOWN_MEMBER
    assert bench.group.state == "empty"
