"""What ``--keep`` prints: the addresses, and the commands to try by hand."""

import shlex
import sys
from typing import Final

from deploy.demo.stack import Stack
from deploy.local.places import PROJECT

BY_HAND_LIFETIME_S: Final = 300  # the people of the demo type faster than you


def by_hand(stack: Stack) -> str:
    """Write the settings to a file for the shell and return the text that says what to do with it."""
    settings = stack.worker.process.folder / "settings.sh"
    settings.touch(mode=0o600)
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in stack.worker.settings.items())
    settings.write_text("".join(lines) + f'worker() {{ {shlex.quote(sys.executable)} -m signin_worker "$@"; }}\n')
    topics, brokers = stack.topics, stack.kafka.bootstrap_servers
    return f"""
Temporal    {stack.temporal.ui_url or "(no UI)"}   (gRPC: {stack.temporal.address})
Metrics     {stack.worker.metrics_url}
Kafka       {brokers}   {topics.requested}, {topics.submitted} → {topics.results}
Worker log  {stack.worker.process.log}

To try it by hand, in another terminal (a code lives {BY_HAND_LIFETIME_S} s now; mails and results appear here):
  cd {shlex.quote(str(PROJECT))} && . {shlex.quote(str(settings))}
  worker check
  ID=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
  worker request you@ok.example --signin-id $ID --token pass.$ID.1
  worker submit $ID you@ok.example CODE
  kcat -b {brokers} -C -t {topics.results} -e -f '%h %s\\n'

Ctrl-C ends everything."""
