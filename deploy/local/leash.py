"""Run a command that ends when its owner does, however the owner ends (even by SIGKILL).

Called as ``python leash.py GRACE_S COMMAND…`` with a pipe as standard input. The owner
keeps the other end. When the pipe closes, because the owner closed it or is gone, the
command gets SIGTERM, and SIGKILL after ``GRACE_S`` seconds. The exit code is the command's
own. This takes a process of its own: nothing else works on both Linux and macOS without
depending on the thread that started the command (as PR_SET_PDEATHSIG does).
"""

import os
import select
import signal
import subprocess
import sys

_OWNERS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the pipe closes; return its exit code (128 + n after signal n)."""
    grace_s, *command = arguments
    for number in _OWNERS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal: the owner decides

    child_ended = _pipe_of_child_signals()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_restore_signals)  # no threads here

    while child.poll() is None:
        readable, _, _ = select.select([0, child_ended], [], [])
        if 0 in readable and not os.read(0, 1):
            return _exit_code(_end(child, float(grace_s)))
        if child_ended in readable:
            os.read(child_ended, 512)

    return _exit_code(child.returncode)


def _pipe_of_child_signals() -> int:
    """Return the end of a pipe that becomes readable when a child process ends."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def _restore_signals() -> None:
    for number in _OWNERS_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _end(child: "subprocess.Popen[bytes]", grace_s: float) -> int:
    child.terminate()
    try:
        return child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _exit_code(return_code: int) -> int:
    return return_code if return_code >= 0 else 128 - return_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
