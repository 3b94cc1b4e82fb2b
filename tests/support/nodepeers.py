"""Programs written in JavaScript, as peers: a folder of ``tests/peers`` with the packages of its lock file."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.peercache import PEERS, cached, run, source_digest, tool

__all__ = ["node_peer"]


def node_peer(peer: str, script: str) -> tuple[str, Path]:
    """The command of a script of ``tests/peers``, as ``node_peer("grpc-js", "caller.js")``."""
    folder = PEERS / peer
    name = f"{peer}@{source_digest(folder, '.js', '.json')}"
    return tool("node", peer), cached(name, lambda target: _install(folder, target)) / script


def _install(folder: Path, target: Path) -> None:
    made = target.with_name(f"{target.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(folder, made)
    run(made, tool("npm", folder.name), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    made.replace(target)
