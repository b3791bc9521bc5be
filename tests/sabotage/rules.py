"""The rules of the consumer, and what a cut is: a change that breaks one of them."""

from typing import Final, NamedTuple

RULES: Final = {
    1: "No loss: every event is applied, a duplicate, late, ignored, or dead-lettered",
    2: "No event takes effect twice, however often it is delivered",
    3: "Events are handled in order per sign-in and per mailbox, but a code may overtake its request",
    4: "A slow key delays no other key; records in flight are limited by count and by bytes",
    5: "Only the contiguous watermark is committed: at most once a second, one commit at a time, with a timeout",
    6: "Back-pressure: an outage pauses intake, loses nothing, and ends without help",
    7: "Epochs: nothing from an old assignment affects a new one",
    8: "A revocation and a stop drain what is in flight, commit, and drop the rest",
    9: "Dead letters are byte-exact, acknowledged before their offset, limited by a breaker, and not replayed forever",
    10: "The limit on concurrent calls adapts to the server",
    11: "A stalled consumer is detected and rebuilt once; a second stall ends the worker",
    12: "Kafka's client has the settings that the other rules rely on",
    13: "Lag and age are exact; no address and no code is disclosed",
}


class Cut(NamedTuple):
    """Replaces ``old``, which occurs in ``file`` exactly once, with ``new``. Then ``test`` must fail."""

    rule: int
    what: str
    file: str
    old: str
    new: str
    test: str
