"""The stack around the worker, on this machine alone. The demo and the tests share it.

Everything that it writes is in the project's own ``.cache``.
"""
