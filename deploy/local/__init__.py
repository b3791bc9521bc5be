"""The stack around the worker, on this machine alone: real Kafka and Temporal, servers for mail, siteverify, DNS.

The demo and the tests share it. All that it writes lies in the project's own ``.cache``.
"""
