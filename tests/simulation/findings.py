"""What the simulation has found in the worker, and what became of it."""

from typing import Final, NamedTuple


class Finding(NamedTuple):
    """A defect: its story in short, the seed or test that shows it, and its fix.

    A seed of an earlier version tells another story by now: each change of the simulation changes what seeds mean.
    """

    half: str
    what: str
    shown_by: str
    story: str
    fix: str


FINDINGS: Final = (
    Finding(
        "consumer",
        "The last commit of an assignment included logs that are gone",
        "a mutant that puts it back",
        "A topic is deleted and made again while records are in work; the partitions are revoked; the offsets of the "
        "old log are committed for the new one.",
        "An offset of a log that is gone is not committed.",
    ),
    Finding(
        "consumer",
        "An odd error of the coordinator stopped a worker for good",
        "seed 83 of an earlier version, `tests/simulation/consumer/test_findings.py`",
        "The coordinator answers a heartbeat or a fetch of offsets with an error that the client does not know; a task "
        "of the client ends; nothing is read any more.",
        "The worker joins its group again at once.",
    ),
    Finding(
        "consumer",
        "A worker that owned nothing left its group unseen, and never came back",
        "seed 762 of an earlier version, `tests/simulation/consumer/test_findings.py`",
        "A worker has no partition, or all of its partitions are paused. A heartbeat gets an error that the client "
        "does not know. The client keeps it for the next poll, and there is none: it joins no group any more, and the "
        "watchdog misses nothing.",
        "The error is taken also where nothing is polled.",
    ),
    Finding(
        "consumer",
        "An odd answer to JoinGroup or SyncGroup stopped a worker for 50 s",
        "`tests/simulation/consumer/test_findings.py`",
        "The sibling of the one before: between two assignments nothing is polled either, so the client waited until "
        "the watchdog had it rebuilt.",
        "The error is taken also while there is no assignment.",
    ),
    Finding(
        "consumer",
        "A commit that landed on a new log hid its first records from the next worker",
        "seed 329 of an earlier version, `tests/simulation/consumer/test_findings.py`",
        "A commit is under way while its topic is deleted and made again: its offset counts for the new log. The "
        "worker knows by the topic's id, but is revoked before it begins the new log. The next one reads on from the "
        "stale offset.",
        "Until the new log is begun, 0 is committed for it.",
    ),
    Finding(
        "consumer",
        "A record that waited for the metadata of a replaced producer was noticed 10 s later",
        "seed 2566 of an earlier version, `tests/unit/utils/kafka/test_producer.py`",
        "Dead letters come in a burst, and one is refused as too large for its batch, so their producer is replaced "
        "while another still waits for the topic's metadata. Its client is closed, which ends no such wait. The letter "
        "is in work until it times out, and a rebalance waits for what is in work.",
        "What waits for a place in the queue of a producer fails with it, and is tried with the next one.",
    ),
    Finding(
        "consumer",
        "A topic that was made again within a second of the first record was not noticed",
        "seed 6119 of an earlier version, `tests/unit/consumers/polling/test_new_logs.py`",
        "A worker reads two records. The topic is deleted and made again, and its new log soon holds two records, too. "
        "Only then comes the first answer about the logs: its topic id is taken for that of the log that was read, and "
        "the offsets fit. Both new records are skipped.",
        "The ids of the topics are asked for before anything is read.",
    ),
    Finding(
        "workflows",
        "A second mail may be left without its code_sent",
        "seed 1359 of an earlier version",
        "A code is sent again and the mail is accepted; before the mailbox hears of it, all workers stop; the right "
        "code comes; a worker is back, and one task tells of both. The success is published, but not the "
        "`signin.code_sent` of the second mail.",
        "None: nothing may come after the end, and a try of that task that knew only of the code may have published "
        "the success. ADR 27 says so now.",
    ),
    Finding(
        "workflows",
        "An answer overtook those of earlier submissions",
        "seed 526 of an earlier version",
        "An account is locked while many of its submissions wait for their turn, and one more finds no place among "
        "them. It was told at once that the account is locked.",
        "It has no answer, like others beyond that limit.",
    ),
    Finding(
        "workflows",
        "A sign-in failed earlier than a code was rejected that came before",
        "seed 3604 of an earlier version",
        "The mail server refuses the mail for good while a submission is compared; all workers stop; more submissions "
        "come; a worker is back, and rejects them. Then the sign-in fails, as of the moment of the refused mail.",
        "It fails no earlier than the last rejected code.",
    ),
    Finding(
        "workflows",
        "A worker that was frozen for minutes had a sign-in rejected once more, at another time",
        "seed 13505 of an earlier version, `tests/unit/activities/test_handing_over.py`",
        "A worker freezes with the first task of a request. Another worker does it again, has the sign-in rejected "
        "through its mailbox, and the mailbox ends: it has nothing to remember. The first worker thaws and does its "
        "task, which rejects, too; a new mailbox publishes that.",
        "A local try of a hand-over is refused when its message was decided more than half a minute ago.",
    ),
    Finding(
        "workflows",
        "A mail that arrived is told as failed by a run that is full",
        "seed 20125 of an earlier version",
        "A run with more events than it may have waits for a mail; the mail server's answer comes, and no worker until "
        "the code has expired. The run's last task replaces it before it takes the answer in.",
        "The one of seed 68243, below: a run that is full takes in what has ended before it is replaced.",
    ),
    Finding(
        "workflows",
        "A frozen worker told of a second mail after the sign-in had ended",
        "seed 26304 of an earlier version, `tests/unit/workflows/test_frozen_workers.py`",
        "A worker hears that a second mail was accepted, and freezes. The right code comes. Another worker does the "
        "task again, hears of both, and publishes the success alone. The first one thaws: `signin.code_sent`.",
        "Only a sign-in's first `signin.code_sent` is published in the task that hears of the mail.",
    ),
    Finding(
        "workflows",
        "A request that nobody had worked on for hours was rejected twice",
        "seed 680 of an earlier version, `tests/unit/workflows/rules/test_mailbox.py`",
        "A worker hands a request over and dies. There is none for hours. The next one rejects the request in its "
        "mailbox, which ends at once, since all this is hours ago. The request's task is done again, and a new mailbox "
        "rejects it once more, as of another moment.",
        "A mailbox stays for ten minutes after it heard of something, not after that happened.",
    ),
    Finding(
        "workflows",
        "An account's lock was told as of a moment before the mail",
        "seed 340 of an earlier version, `tests/unit/workflows/rules/test_order_of_results.py`",
        "Codes are typed before their mail was accepted, because the consumer could not reach Temporal for seconds. "
        "The first is wrong as of the mail; the next finds the account locked, as of when it was read.",
        "No answer to a submission is of an earlier moment than the mail.",
    ),
    Finding(
        "workflows",
        "A mail was sent after its sign-in had succeeded",
        "seed 12008 of an earlier version, `tests/unit/workflows/test_frozen_workers.py`",
        "One of two mails is accepted, the other waits for its turn; the right code comes. A worker publishes the "
        "success and dies in that task. Another cancels the mail ten seconds later: it was sent meanwhile.",
        "While another mail is on its way, the end is published once history holds that it is cancelled.",
    ),
    Finding(
        "workflows",
        "A sign-in failed earlier than an attempt was refused that came before",
        "seed 19574 of an earlier version, `tests/unit/workflows/rules/test_order_of_results.py`",
        "The mail server refuses the mail for good; the worker is frozen. Another attempt comes, too early, and is "
        "refused. Then the sign-in fails, as of the moment of the refused mail.",
        "It fails no earlier than the last refused attempt.",
    ),
    Finding(
        "workflows",
        "A submission to an unknown sign-in was answered twice",
        "seed 35618 of an earlier version, `tests/unit/workflows/rules/test_mailbox.py`",
        "A submission is read twice, as far apart as an event may be old, by two consumers whose clocks differ by "
        "seconds. For the second it is not too old yet, but the mailbox ended 0.8 s before.",
        "A mailbox remembers for 5 s longer than an event may be old.",
    ),
    Finding(
        "workflows",
        "A sign-in failed in a mailbox that ended too early, and was rejected in the next one",
        "seed 48145 of an earlier version, `tests/unit/workflows/rules/test_mailbox.py`",
        "Request and mailbox are handled again after hours without a worker, and then there is none for minutes more. "
        "When one comes, the mailbox has heard nothing for as long as it remembers, and ends. Only then does the "
        "request send what it found meanwhile.",
        "A mailbox that should have ended while nobody worked remembers for as long again.",
    ),
    Finding(
        "workflows",
        "A full run handed over before it had heard that a mail was accepted, which was sent again",
        "seed 68243 of an earlier version, `tests/unit/workflows/test_runs.py`",
        "The end of a mail and a submission are in one workflow task. The SDK delivers the submission first, and the "
        "run hands over at once, with the mail as one in flight. A worker that died in that task had already told of "
        "the mail: its moment is another one the second time.",
        "A run that leaves jobs in flight first lets a workflow task end, which tells it of all that ended.",
    ),
    Finding(
        "workflows",
        "A request was too old as of a moment before codes that had been judged",
        "seed 73735 of an earlier version, `tests/unit/workflows/rules/test_order_of_results.py`",
        "No worker is there for minutes, and codes are typed for a sign-in whose mail nobody has sent. They are judged "
        "first, as of when they were read. Then the request is rejected, as of when it became too old.",
        "It is rejected no earlier than the last code that was judged.",
    ),
)
