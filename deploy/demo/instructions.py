"""The instructions that ``--keep`` prints: addresses, and commands to try."""

import shlex
import sys
from pathlib import Path
from typing import Final

from deploy.demo.stack import Stack
from deploy.demo.web import Web
from deploy.local.places import PROJECT

MANUAL_LIFETIME_S: Final = 300  # people type slower than the demo's virtual ones


def instructions(stack: Stack, web: Web | None = None) -> str:
    """Write the settings to a file for the shell, and return the text that says how to use it."""
    settings = _write_settings(stack)
    topics = stack.topics
    brokers = stack.kafka.bootstrap_servers

    return f"""{_browser(web)}
Temporal    {stack.temporal.ui_url or "(no UI)"}   (gRPC: {stack.temporal.address})
Metrics     {stack.worker.metrics_url}
Kafka       {brokers}   {topics.requested}, {topics.submitted} → {topics.results}
Worker log  {stack.worker.process.log}

Try it yourself in another terminal (codes are now valid for {MANUAL_LIFETIME_S} s; mails and results appear here):
  cd {shlex.quote(str(PROJECT))} && . {shlex.quote(str(settings))}
  worker check
  ID=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
  worker request you@ok.example --signin-id $ID --token pass.$ID.1
  worker submit $ID you@ok.example CODE
  kcat -b {brokers} -C -t {topics.results} -e -f '%h %s\\n'

Ctrl-C stops everything."""


def _browser(web: Web | None) -> str:
    if web is None:
        return ""
    return f"""
Sign in     {web.page_url}   as you@ok.example, or as anybody at a domain that ends in .example
Mails       {web.mail_url}"""


def _write_settings(stack: Stack) -> Path:
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in stack.worker.settings.items()]
    function = f'worker() {{ {shlex.quote(sys.executable)} -m signin_worker "$@"; }}\n'

    file = stack.worker.process.folder / "settings.sh"
    file.touch(mode=0o600)
    file.write_text("".join(exports) + function)
    return file
