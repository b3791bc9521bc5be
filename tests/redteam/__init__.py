"""The red team: attacks from the abuse list of the security review. Each attack counts what gets through.

``make redteam`` runs all attacks and writes ``docs/redteam.md``; ``make test`` runs a selection at a small scale.

* ``scene``: what an attacker can do: emit events as anybody, read the attacker's own mails, receive results.
* ``attack``, ``programme``, ``report``: run the attacks and report on them.
* ``search``, ``dump``: look for secrets in everything that is stored or shown.
* ``attacks``: one function per attack, listed in its module's ``ATTACKS``. An attack returns counts, each with its
  bound. It asserts what makes its counts meaningful: that the owner is served and that the worker is alive.

The servers, topics and workers are those of the fault programme (``tests.faults``).
"""
