"""The processes of the demo: the control plane and the servers, each started, killed and started again by name."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from meshkit.errors import MeshkitError

__all__ = ["Processes"]

_START_LIMIT = 90.0
_STOP_LIMIT = 30.0


class Processes:
    """Child processes by name. Each says one line on stdout when it is up; stderr is kept in a file of its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, Process] = {}

    async def start(self, name: str, words: Sequence[str], environment: Mapping[str, str] = {}) -> str:
        """Start ``python -m words`` as ``name``; the line it says when it is up. Raises MeshkitError when it does not
        come up, with the end of what it wrote to stderr."""
        with self._log(name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *words, stdin=DEVNULL, stdout=PIPE, stderr=log, env=os.environ | dict(environment)
            )
        self._running[name] = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_LIMIT):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise MeshkitError(f"{name} did not come up: {self._last_words(name)}")
        return line.decode().strip()

    def kill(self, name: str) -> None:
        """SIGKILL: no goodbye."""
        self._running[name].send_signal(signal.SIGKILL)

    async def stop(self, name: str) -> None:
        """SIGTERM, and wait for the end; SIGKILL for one that does not end."""
        process = self._running.pop(name)
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_LIMIT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def stop_all(self) -> None:
        """Stop whatever still runs."""
        await asyncio.gather(*(self.stop(name) for name in list(self._running)))

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
