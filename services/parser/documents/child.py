"""Runs apart from the service: a clean single-threaded process that forks once for each document.

Started by `sandbox.py` alone, as `python -I`. A fork costs 2 ms where a fresh interpreter costs
120. The server never reads a document; what it forks gives up its rights first.

Conversation on the control socket (standard input): a line of JSON with two file descriptors (the
document, a pipe for the answer) starts a child; any byte then kills and reaps it, and its wait status
comes back as a line. End of file does the same and ends the server, so nothing outlives the service.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import Any

from services.parser.documents import processes, reading, recognition, scribe
from services.parser.documents.document import Document
from services.parser.documents.limits import READY, Limits

# An account of nobody's: embedded Postgres runs as `nobody`, and a child must not reach its processes.
UNPRIVILEGED_ID = 65_533

# office-oxide parses in a thread of its own. The kernel counts those of all children of an account together.
_TASKS = 256

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def main() -> None:
    """Serves until the control socket ends."""
    control = socket.socket(fileno=0)
    libc = ctypes.CDLL(None, use_errno=True)
    processes.die_with_parent(libc)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others = 0 if _leave_the_network(libc) else processes.tasks_of(os.geteuid())
    gc.freeze()
    control.sendall(READY)
    while True:
        message, fds, _, _ = socket.recv_fds(control, 16_384, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            _be_the_child(libc, control, json.loads(message), others, *fds)
        with suppress(OSError):  # the child does the same; whoever comes second may find it gone
            os.setpgid(pid, pid)
        for fd in fds:
            os.close(fd)
        going_on = control.recv(1)
        with suppress(ProcessLookupError, PermissionError):  # macOS says so of a group that has ended
            os.killpg(pid, signal.SIGKILL)
        status = _reap(pid)
        if not going_on:
            return
        control.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _reap(pid: int) -> int:
    """Waits for a child, and for what it has left behind; its wait status."""
    status = 0
    with suppress(ChildProcessError):
        while True:
            ended, how = os.waitpid(-1, 0)
            status = how if ended == pid else status
    return status


def _be_the_child(
    libc: ctypes.CDLL, control: socket.socket, request: dict[str, Any], others: int, document: int, out: int
) -> None:
    """Confines this process, answers, and never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        control.close()
        _close_standard_streams()
        limits = Limits(**request["limits"])
        source = Document(document, request["filename"], limits)
        if request["tesseract"] and not request["count_only"]:
            confine = partial(_confine, libc, limits, others + _TASKS)
            command, environment = request["tesseract"]
            source.scribe = scribe.start(command, environment, limits, confine, (document, out))
        _confine(libc, limits, others + _TASKS if recognition.is_container(source) else 0)
        with open(out, "wb", buffering=1 << 16, closefd=False) as pipe:
            for line in reading.answers(source, count_only=request["count_only"], allow_cpu=_allow_cpu):
                pipe.write(json.dumps(line).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


def _close_standard_streams() -> None:
    """Before any other file is opened, which would else get one of their numbers."""
    devnull = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(devnull, standard)
    if devnull > 2:
        os.close(devnull)


def _confine(libc: ctypes.CDLL, limits: Limits, tasks: int) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    processes.die_with_parent(libc)  # again: a change of user clears it
    if sys.platform == "linux":
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _drop_capabilities(libc)
        _limit(resource.RLIMIT_AS, limits.memory_bytes)
        _limit(resource.RLIMIT_NPROC, tasks)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 32)
    _limit(resource.RLIMIT_CORE, 0)
    most = limits.most_cpu_seconds + limits.most_drawing_cpu_seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, most))


def _allow_cpu(seconds: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, hard), hard))


def _limit(what: int, value: int) -> None:
    resource.setrlimit(what, (value, value))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """An ordinary user has them all inside the namespace that cut off the network."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def _leave_the_network(libc: ctypes.CDLL) -> bool:
    """Best effort: a kernel may forbid it, and then the other walls stand alone.

    Returns:
        Whether tasks are counted apart from what else runs under this account: in a namespace of its own
        (since Linux 5.14), or because children change to an account that nobody else has.
    """
    if sys.platform != "linux":
        return True
    root = os.geteuid() == 0
    return bool(libc.unshare(_CLONE_NEWNET | (0 if root else _CLONE_NEWUSER)) == 0 or root)


if __name__ == "__main__":
    main()
