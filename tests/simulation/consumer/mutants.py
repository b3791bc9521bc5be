"""Ways to break the consumer: the cuts of ``make sabotage`` that the world outside can see, and defects of before."""

from collections.abc import Sequence
from typing import Final

from tests.sabotage.cuts import CUTS
from tests.simulation.consumer.letter_mutants import LETTER_MUTANTS
from tests.simulation.mutant import Mutant

_POLLING: Final = "consumers/polling"
_HANDLING: Final = "consumers/handling"
_KAFKA: Final = "utils/kafka"

_NOT_SEEN: Final = frozenset(
    (
        "a closed sign-in can be started again",  # the model of Temporal stands in for the gateway
        "a mailbox forgets the submissions it has seen",  # the workflow half
        "a code that overtakes its request is rejected at once",  # the workflow half
        "a dead letter is replayed without limit",  # another program
        "a commit that hangs has no timeout",  # the call below has one, too
        "the limit ignores latency",  # a matter of load, which no single order shows
        "the limit ignores throttling",  # as above
        "a dead letter's reason quotes the value",  # no validator's message quotes one today
        # A session that has ended reads no more, so its trackers know no offset and it commits nothing. Whatever was in
        # work was drained and dropped by the revocation that comes before each assignment.
        "a session that has ended is assigned partitions",
    )
)
"""The cuts of ``make sabotage`` that this half cannot see."""

_OWN: Final = (
    Mutant(
        "a poll that raises puts no position back (issue 20, defect 1)",
        f"{_KAFKA}/polling.py",
        "            self._seek(assignment, before)\n            if not _concerns_a_batch(error):\n",
        "            before = self._positions()\n            if not _concerns_a_batch(error):\n",
    ),
    Mutant(
        "a batch that cannot be decoded stops its partition (issue 20, defect 2)",
        f"{_KAFKA}/polling.py",
        "            if not _concerns_a_batch(error):\n",
        "            if error is not None:\n",
    ),
    Mutant(
        "only the partitions that are read one by one are put back",
        f"{_KAFKA}/polling.py",
        "            self._seek(assignment, before)\n            if not _concerns_a_batch(error):\n",
        "            if not _concerns_a_batch(error):\n",
    ),
    Mutant(
        "an unreadable batch ends at its first offset",
        f"{_KAFKA}/batches.py",
        "last = max(first, min(header.last_offset, next_start - 1))",
        "last = first",
    ),
    Mutant(
        "an unreadable batch is skipped without a dead letter",
        f"{_KAFKA}/polling.py",
        "    if fetched.unreadable is not None:\n",
        "    if False:\n",
    ),
    Mutant(
        "records of open and aborted transactions are read",
        f"{_KAFKA}/source.py",
        '"isolation_level": "read_committed"',
        '"isolation_level": "read_uncommitted"',
    ),
    Mutant(
        "a dead letter's record counts as done before Kafka has the letter",
        "consumers/handling/dead_lettering.py",
        "            await self._write(delivery, outcome)\n",
        "            asyncio.ensure_future(self._write(delivery, outcome))\n",
    ),
    Mutant(
        "a producer is kept after an error",
        f"{_KAFKA}/producer.py",
        "        if producer is not None and producer is self._producer:\n            self._producer = None\n",
        "        if False:\n            self._producer = None\n",
    ),
    Mutant(
        "reading goes on from where the client stands after a rebalance",
        f"{_POLLING}/reading.py",
        "            await self._source.seek_to_committed(frozenset(self._assignment.partitions))\n",
        "",
    ),
    Mutant(
        "the last commit of an assignment includes logs that are gone (found by this simulation)",
        f"{_POLLING}/assignment.py",
        "        marks |= dict.fromkeys(self.outdated, 0)\n",
        "",
    ),
    Mutant(
        "a commit that fails counts as made",
        f"{_POLLING}/committing.py",
        "        else:\n            self._committed.update(offsets)",
        "        finally:\n            self._committed.update(offsets)",
    ),
    Mutant(
        "a poll that fails across a rebalance is not read again",
        f"{_POLLING}/reading.py",
        "        finally:\n            # Across",
        "        except KafkaUnavailable:\n            raise\n        else:\n            # Across",
    ),
    Mutant(
        "a dead letter has no key",
        "consumers/handling/dead_lettering.py",
        "    yield _Form(record.key, record.value, headers)\n",
        "    yield _Form(None, record.value, headers)\n",
    ),
    Mutant(
        "each submission has its own lane",
        "consumers/intake.py",
        'return f"mailbox/{self._pseudonyms.mailbox(address)}"',
        'return f"mailbox/{self._pseudonyms.mailbox(address)}/{record.offset}"',
    ),
    Mutant(
        "a call without an answer counts as applied",
        "consumers/gateway/guard.py",
        "            except Unreachable:\n                self._slots.overloaded(call)\n                raise\n",
        "            except Unreachable:\n"
        "                from consumers.outcomes import Applied\n\n                return Applied()\n",
    ),
    Mutant(
        "a dead letter that is too large is tried at full size for ever (issue 20, defect 3)",
        f"{_HANDLING}/dead_lettering.py",
        '            forms.popleft()\n            logger.error("a dead letter is too large',
        '            logger.error("a dead letter is too large',
    ),
    Mutant(
        "lag ends at the last stable offset (issue 20, defect 7)",
        f"{_POLLING}/positions.py",
        "end=answer and answer.log.end,",
        "end=answer and answer.log.stable_end,",
    ),
    Mutant(
        "topics are created by asking for them (issue 20, defect 8)",
        f"{_KAFKA}/auto_creation.py",
        "allow_auto_topic_creation=False",
        "allow_auto_topic_creation=True",
    ),
    Mutant(
        "nobody looks whether the topics are there (issue 20, defect 8)",
        f"{_KAFKA}/source.py",
        "            raise KafkaMisconfigured(missing)",
        "            pass",
    ),
    Mutant(
        "a revocation waits for everything that is queued (issue 20, defect 10)",
        f"{_POLLING}/lanes.py",
        "            if self._draining:\n                return\n",
        "",
    ),
    Mutant(
        "dead letters may be all of a topic's records (issue 20, defect 11)",
        f"{_HANDLING}/dead_lettering.py",
        "if not self._limits.share or dead < self._limits.share_floor:",
        "if True:",
    ),
    Mutant(
        "an error of the coordinator is left where nothing is polled (found by this simulation, seed 762)",
        f"{_KAFKA}/coordination.py",
        "    coordinator.check_errors()\n",
        "",
    ),
    Mutant(
        "a client whose heartbeats ended does not join again (found by this simulation)",
        f"{_KAFKA}/coordination.py",
        "        coordinator.request_rejoin()\n",
        "        pass\n",
    ),
)

CONSUMER_MUTANTS: Final[Sequence[Mutant]] = (
    *_OWN,
    *LETTER_MUTANTS,
    *(Mutant(f"rule {cut.rule}: {cut.what}", cut.file, cut.old, cut.new) for cut in CUTS if cut.what not in _NOT_SEEN),
)
