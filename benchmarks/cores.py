"""A core for each end. A scheduler that puts client and server on one core now, and on two then, makes two modes of
every figure; so processes are pinned: the server (and its sidecar) to one core, the client (and its) to another.

Where the system does not let itself be told, or has one core, nothing is pinned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALLOWED = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
PINNED = len(_ALLOWED) > 1
"""Whether each end has a core."""
SERVER, CLIENT = ({_ALLOWED[0]}, {_ALLOWED[1]}) if PINNED else (set[int](), set[int]())


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """Processes started in this block, and this thread until its end, run on ``cores`` only; with none, anywhere."""
    if not cores:
        yield
        return
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, _ALLOWED)
