"""Judges the recorded history of a run: ``python -m tests.history_check FILE [--json]``.

The fault programme judges each case by its ledger (``tests.faults``). This is a second opinion on the same run. It
shares no code with the first one or with the worker, and imports only Python's standard library: it knows the public
contract alone (``docs/events.md``). It reads the history once, from its first line to its last, and moves one state
machine for each sign-in and one for each partition.

* ``lines``: the format of a history. Each line is a JSON object; ``kind`` says which of these it is.
* ``partitions``: records are in their partitions as they were acknowledged, without gaps, and committed to the end.
* ``dead_letters``, ``processing``: garbage became dead letters; the rest reached Temporal once, and in order.
* ``sign_in``, ``verdicts``: the state machine of one sign-in, which its results move.
* ``mailboxes``: who asked for mails, and what arrived.
* ``judge``: hands each line to those that it concerns.

A history has no addresses and no codes, only keyed digests of them, whose key nobody keeps. Its order is: what happened
as it happened (``emitted``, ``mail``, ``fault``), then what was read back from the servers (``stored``, ``result``,
``dead_letter``, ``workflow``, ``signal``, ``log``), and ``closed``.
"""
