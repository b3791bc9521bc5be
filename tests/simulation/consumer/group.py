"""The coordinator's side of a consumer group: members, generations, and committed offsets."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from tests.simulation.story import Story

OK: Final = 0
ILLEGAL_GENERATION: Final = 22
UNKNOWN_MEMBER: Final = 25
REBALANCING: Final = 27
MEMBER_ID_REQUIRED: Final = 79

_FIRST_REBALANCE_S: Final = 0.5

State = Literal["empty", "preparing", "completing", "stable"]


class Joined(NamedTuple):
    """The answer to JoinGroup."""

    error: int
    generation: int = -1
    protocol: str = ""
    leader: str = ""
    member_id: str = ""
    members: Sequence[tuple[str, str | None, bytes]] = ()


class Synced(NamedTuple):
    """The answer to SyncGroup."""

    error: int
    assignment: bytes = b""


@dataclass
class Member:
    """One member. ``joining`` and ``syncing`` answer a request that waits."""

    member_id: str
    session_s: float
    rebalance_s: float
    protocol: str = ""
    subscription: bytes = b""
    joining: Callable[[Joined], None] | None = None
    syncing: Callable[[Synced], None] | None = None
    expiry: asyncio.TimerHandle | None = field(default=None, repr=False)


OnCommit = Callable[[str, int, int], None]


class Group:
    """A group as Kafka's classic protocol has it. ``on_commit`` hears of each offset that is stored."""

    def __init__(self, loop: asyncio.AbstractEventLoop, story: Story, on_commit: OnCommit) -> None:
        self.generation = 0
        self.state: State = "empty"
        self.members: dict[str, Member] = {}
        self.offsets: dict[tuple[str, int], int] = {}
        self._loop = loop
        self._story = story
        self._on_commit = on_commit
        self._leader = ""
        self._assignments: dict[str, bytes] = {}
        self._invited: set[str] = set()
        self._named = 0
        self._deadline: asyncio.TimerHandle | None = None

    def join(
        self,
        member_id: str,
        session_s: float,
        rebalance_s: float,
        protocol: tuple[str, bytes],
        reply: Callable[[Joined], None],
    ) -> None:
        """Let a member join the next generation. A new member is given its id first."""
        if not member_id:
            self._named += 1
            invited = f"member-{self._named}"
            self._invited.add(invited)
            return reply(Joined(MEMBER_ID_REQUIRED, member_id=invited))

        member = self.members.get(member_id)
        if member is None:
            if member_id not in self._invited:
                return reply(Joined(UNKNOWN_MEMBER))
            self._invited.discard(member_id)
            member = self.members[member_id] = Member(member_id, session_s, rebalance_s)

        if member.joining is not None:
            member.joining(Joined(UNKNOWN_MEMBER))
        member.protocol, member.subscription = protocol
        member.joining = reply
        self._stop_clock(member)
        self.rebalance()

    def sync(
        self, member_id: str, generation: int, assignments: Sequence[tuple[str, bytes]], reply: Callable[[Synced], None]
    ) -> None:
        """Hand out the assignments, once the leader has sent them."""
        error = self._check(member_id, generation)
        if error or self.state == "preparing":
            return reply(Synced(error or REBALANCING))

        member = self.members[member_id]
        if self.state == "stable":
            return reply(Synced(OK, self._assignments.get(member_id, b"")))

        member.syncing = reply
        if member_id == self._leader:
            self._assignments = dict(assignments)
            self.state = "stable"
            self._story.add("group stable", f"generation {self.generation}, {len(self.members)} members")
            for each in self.members.values():
                self._answer_sync(each, Synced(OK, self._assignments.get(each.member_id, b"")))

    def heartbeat(self, member_id: str, generation: int) -> int:
        """Keep a member in the group, and return an error code."""
        error = self._check(member_id, generation)
        if error:
            return error

        self._start_clock(self.members[member_id])
        return REBALANCING if self.state == "preparing" else OK

    def leave(self, member_id: str) -> int:
        """Remove a member, and return an error code."""
        if member_id not in self.members:
            return UNKNOWN_MEMBER

        self._remove(member_id, "left")
        return OK

    def commit(self, member_id: str, generation: int, offsets: Sequence[tuple[str, int, int]]) -> int:
        """Store offsets, and return an error code."""
        error = self._check(member_id, generation)
        if error:
            return error
        if self.state == "completing":
            return REBALANCING

        self._start_clock(self.members[member_id])
        for topic, partition, offset in offsets:
            self.offsets[topic, partition] = offset
            self._on_commit(topic, partition, offset)
        return OK

    def rebalance(self) -> None:
        """Begin a rebalance, unless one has begun, and end it if all have joined."""
        if self.state != "preparing":
            longest = max((member.rebalance_s for member in self.members.values()), default=0.0)
            wait_s = _FIRST_REBALANCE_S if self.state == "empty" else longest
            self._story.add("rebalance begins", f"generation {self.generation}")
            for member in self.members.values():
                self._answer_sync(member, Synced(REBALANCING))
            was_empty = self.state == "empty"
            self.state = "preparing"
            self._deadline = self._loop.call_later(wait_s, self._complete)
            if was_empty:
                return

        if self.generation and all(member.joining for member in self.members.values()):
            self._complete()

    def forget_members(self) -> None:
        """Lose all members, as a coordinator does that loads an older state."""
        self._story.add("members forgotten", f"{len(self.members)}")
        for member_id in list(self.members):
            self._remove(member_id, "forgotten")

    def expire(self, member_id: str) -> None:
        """Remove a member that was not heard of for its session."""
        self._story.add("session expired", member_id)
        self._remove(member_id, "expired")

    def drop_waiting(self, error: int) -> None:
        """Answer all requests that wait, as a coordinator does whose group moves to another broker."""
        for member in list(self.members.values()):
            self._answer_sync(member, Synced(error))
            if member.joining is not None:
                joining = member.joining
                member.joining = None
                joining(Joined(error))
                self._start_clock(member)

    def _check(self, member_id: str, generation: int) -> int:
        if member_id not in self.members:
            return UNKNOWN_MEMBER

        return ILLEGAL_GENERATION if generation != self.generation else OK

    def _complete(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

        for member_id in [each.member_id for each in self.members.values() if each.joining is None]:
            self._story.add("member too slow to join", member_id)
            self._drop(member_id)

        self.generation += 1
        self._assignments = {}
        if not self.members:
            self.state = "empty"
            return

        self.state = "completing"
        if self._leader not in self.members:
            self._leader = next(iter(self.members))
        self._answer_joins()

    def _answer_joins(self) -> None:
        everyone = [(each.member_id, None, each.subscription) for each in self.members.values()]
        for member in list(self.members.values()):
            listed = everyone if member.member_id == self._leader else ()
            joined = Joined(OK, self.generation, member.protocol, self._leader, member.member_id, listed)
            joining = member.joining
            member.joining = None
            self._start_clock(member)
            if joining is not None:
                joining(joined)

    def _answer_sync(self, member: Member, answer: Synced) -> None:
        syncing = member.syncing
        member.syncing = None
        if syncing is not None:
            self._start_clock(member)
            syncing(answer)

    def _remove(self, member_id: str, why: str) -> None:
        self._story.add(f"member {why}", member_id)
        self._drop(member_id)
        if self.state in ("stable", "completing") or self.state == "preparing":
            self.rebalance()

    def _drop(self, member_id: str) -> None:
        member = self.members.pop(member_id)
        self._stop_clock(member)
        self._answer_sync(member, Synced(UNKNOWN_MEMBER))
        self._stop_clock(member)
        if member.joining is not None:
            member.joining(Joined(UNKNOWN_MEMBER))

    def _start_clock(self, member: Member) -> None:
        self._stop_clock(member)
        if member.joining is None:
            member.expiry = self._loop.call_later(member.session_s, self.expire, member.member_id)

    @staticmethod
    def _stop_clock(member: Member) -> None:
        if member.expiry is not None:
            member.expiry.cancel()
            member.expiry = None
