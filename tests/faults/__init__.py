"""Faults: people sign in while servers and workers are killed, frozen, slowed; a ledger accounts for every event.

``make faults`` injects all of them and writes ``docs/faults.md``; ``make test`` a few, for a short time.

* ``servers``, ``proxy``, ``kafka_admin``: what can be hurt, and how.
* ``people``, ``crowd``, ``wire``: who signs in meanwhile, and their ends of the topics.
* ``ledger``: every event that was produced and what must come of it; pure. ``evidence``: what the servers know.
* ``stage``: one case's topics, workers, people and clock. ``case``, ``programme``, ``report``: running and telling.
* ``cases``: the faults. A new one is a function that takes a ``Stage``, does it, and says in a line what was seen; it
  goes into its module's ``CASES``. It asserts only what the ledger cannot know.
"""
