"""Run a command as the user ``nobody``: PostgreSQL refuses to run as root.

Called as ``python ordinary_user.py COMMAND…`` by root. The command takes this process's place.
"""

import os
import pwd
import sys


def main(command: list[str]) -> None:
    """Become ``nobody`` and run the command."""
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
