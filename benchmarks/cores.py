"""A core for each end, where that is asked for: the server (and its sidecar) on one, the client (and its) on another.

A scheduler may put both ends on one core, or on two: on one a lone call is answered sooner, as nobody has to be woken
on a core that sleeps; on two, twice as many calls a second can be carried. Pinning also keeps the threads of grpc.aio
together, which saves them such wake-ups. Where there is one core, or the system takes no such wish, nothing is pinned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALLOWED = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER, CLIENT = ({_ALLOWED[0]}, {_ALLOWED[1]}) if len(_ALLOWED) > 1 else (set[int](), set[int]())

always = False
"""Whether every run is pinned (``--pinned``), also those that do not ask for it."""


@contextmanager
def on(cores: set[int], pinned: bool = False) -> Iterator[None]:
    """Processes started in this block, and this thread until its end, run on ``cores`` only, if that is wanted."""
    if not cores or not (pinned or always):
        yield
        return
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, _ALLOWED)
