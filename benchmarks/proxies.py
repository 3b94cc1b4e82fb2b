"""Two Envoys in front of a server, as sidecars stand between it and a client.

HTTP/2 on every hop, plaintext, one worker thread in each, no filter but the router: the least that a sidecar does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from benchmarks import cores
from tests.support.envoy import running_envoy
from tests.support.envoy_front import bootstrap, listener


@contextmanager
def envoys(port: int) -> Iterator[int]:
    """A chain of two Envoys in front of ``port``; gives the port that leads into it."""
    with asyncio.Runner() as runner:
        chain = AsyncExitStack()
        try:
            for core in (cores.SERVER, cores.CLIENT):  # each with its application, as in a pod
                envoy = running_envoy(bootstrap({"next": (port,)}, entry=listener("next")))
                with cores.on(core):
                    port = runner.run(chain.enter_async_context(envoy)).ports["entry"]
            yield port
        finally:
            runner.run(chain.aclose())
