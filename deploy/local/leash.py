"""Run a command that ends when its owner does, however the owner ends (even by SIGKILL).

Called as ``python leash.py GRACE_S COMMAND…`` with a pipe as standard input whose other end the owner keeps. When the
pipe closes, because the owner said so or because it is gone, the command gets SIGTERM, and SIGKILL after ``GRACE_S``.
The exit code is the command's own. A process of its own does this, since nothing else works on Linux and macOS alike
and is told apart from the thread that started it (as PR_SET_PDEATHSIG is not).
"""

import os
import select
import signal
import subprocess
import sys


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the pipe closes; return its exit code (128 + n after signal n)."""
    grace_s, *command = arguments
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal: the owner decides
    ended, telling = os.pipe()
    os.set_blocking(telling, False)
    signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_default_signals)  # no threads here
    while child.poll() is None:
        readable, _, _ = select.select([0, ended], [], [])
        if 0 in readable and not os.read(0, 1):
            return _code(_end(child, float(grace_s)))
        if ended in readable:
            os.read(ended, 512)
    return _code(child.returncode)


def _default_signals() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_DFL)


def _end(child: "subprocess.Popen[bytes]", grace_s: float) -> int:
    child.terminate()
    try:
        return child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _code(returned: int) -> int:
    return returned if returned >= 0 else 128 - returned


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
