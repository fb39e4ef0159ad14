"""Text recognition beside a child that may start nothing: a process that starts it, and does nothing else.

The scribe is forked before the child gives up its rights, and keeps one: to start processes. It reads
images from the child as bytes, and never looks into them. The program that does is as confined as the child.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import subprocess
from collections.abc import Callable, Sequence
from typing import BinaryIO

from services.parser.documents import processes
from services.parser.documents.limits import Limits

_SIZE = struct.Struct("!Q")
_FIRST_SECONDS = 30  # before the average counts
_MOST_SECONDS = 60  # for one page
_NOTHING = b""


class Scribe:
    """The child's end.

    Args:
        requests: Takes images.
        answers: Gives what was recognised.
        limits: Bounds of the document.
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO, limits: Limits) -> None:
        self._requests, self._answers, self._limits = requests, answers, limits

    def recognise(self, draw: Callable[[], bytes]) -> str:
        """Words of an image, as Tesseract's table; empty where nothing was found in time.

        Args:
            draw: Makes the image, in a format that tells its own size. May compute a while.
        """
        _allow_more_cpu(self._limits.cpu_seconds_per_drawing)
        image = draw()
        try:
            self._requests.write(_SIZE.pack(len(image)) + image)
            self._requests.flush()
            return _received(self._answers).decode(errors="replace")
        except (OSError, EOFError):
            return ""


def start(
    command: Sequence[str],
    environment: dict[str, str],
    limits: Limits,
    confine: Callable[[], None],
    others: Sequence[int],
) -> Scribe:
    """Forks a scribe that ends with this process.

    Args:
        command: Reads an image from its input, writes to its output.
        environment: The command's.
        limits: Bounds of the document.
        confine: Takes all rights but the one to start processes.
        others: File descriptors that are not the scribe's business.
    """
    images, requests = os.pipe()
    answers, texts = os.pipe()
    if os.fork() == 0:
        try:
            for fd in (requests, answers, *others):
                os.close(fd)
            confine()
            _serve(command, environment, limits, os.fdopen(images, "rb"), os.fdopen(texts, "wb"))
        finally:
            os._exit(0)
    os.close(images)
    os.close(texts)
    return Scribe(os.fdopen(requests, "wb"), os.fdopen(answers, "rb"), limits)


def _serve(
    command: Sequence[str], environment: dict[str, str], limits: Limits, images: BinaryIO, texts: BinaryIO
) -> None:
    asked = 0
    while True:
        try:
            image = _received(images)
        except EOFError:
            return
        asked += 1
        spent = _children_seconds()
        may_spend = _FIRST_SECONDS + limits.cpu_seconds_per_scan * asked
        text = _recognised(command, environment, image) if spent < may_spend else _NOTHING
        texts.write(_SIZE.pack(len(text)) + text)
        texts.flush()


def _recognised(command: Sequence[str], environment: dict[str, str], image: bytes) -> bytes:
    try:
        with subprocess.Popen(
            command, env=environment, preexec_fn=_confine_program,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as program:  # fmt: skip
            text, _ = program.communicate(image)
    except OSError:
        return _NOTHING
    return text if program.returncode == 0 else _NOTHING


def _confine_program() -> None:
    processes.die_with_parent(ctypes.CDLL(None))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _received(pipe: BinaryIO) -> bytes:
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        raise EOFError
    (size,) = _SIZE.unpack(head)
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _allow_more_cpu(seconds: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft + seconds, hard), hard))
