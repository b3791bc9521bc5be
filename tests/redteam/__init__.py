"""Red team: the abuse list of the security review, tried for real; each attack counts what gets through.

``make redteam`` tries all and writes ``docs/redteam.md``; ``make test`` the most telling ones, on a small scale.

* ``scene``: what an attacker can do: emit events as anybody, read the attacker's own mails, hear results.
* ``attack``, ``programme``, ``report``: running and telling. An attack returns counts, each beside its bound.
* ``search``, ``dump``: looking for secrets in everything that is stored or shown.
* ``attacks``: one function each; a new one goes into its module's ``ATTACKS``. What it needs so that its count means
  anything (the owner is served, the worker lives) it asserts.

The servers, topics and workers are those of the fault programme (``tests.faults``).
"""
