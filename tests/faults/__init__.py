"""The fault programme: people sign in while servers and workers are killed, frozen or slowed down.

Afterwards an audit accounts for every event. ``make faults`` injects all faults and writes ``docs/faults.md``;
``make test`` injects a few of them, briefly.

* ``servers``, ``proxy``, ``kafka_admin``, ``cluster_admin``: the servers, and the means to break them.
* ``people``, ``crowd``, ``upstream``: who signs in meanwhile, and the service that emits their events.
* ``ledger``: every event produced and what is expected of it. ``evidence``: collects what the servers report.
  ``audit``: compares the two.
* ``stage``: the topics, workers, people and clock of one case.
* ``history``, ``recorder``: record all of one case in a file, for a second program to judge (``tests.history_check``).
* ``case``, ``programme``, ``report``: run the cases and report on them.
* ``cases``: the faults. A case is a function that takes a ``Stage``, injects the fault and returns one line about
  what it observed; list it in its module's ``CASES``. It asserts only what the audit cannot know.
"""
