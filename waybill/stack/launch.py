"""Becomes a child that dies with its supervisor; run by path, so it imports nothing of ours.

    python -I -S launch.py PARENT_PID SIGNAL UID GID COMMAND…

UID and GID are -1 to stay who we are. The order matters: Linux forgets the parent-death signal
when the user changes, and a parent that died before it was set can only be seen afterwards.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Changes user, asks for the signal, and executes the command."""
    parent, signal_number, uid, gid = (int(word) for word in arguments[:4])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")
    os.execv(arguments[4], arguments[4:])  # noqa: S606 no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
