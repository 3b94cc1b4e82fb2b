"""Peers in other languages are built once, into a cache outside the tree, named by what they were built from.

``MESHKIT_CACHE`` names the cache (default ``~/.cache/meshkit``). A program that cannot be built fails the tests that
need it: nothing is skipped. Where compilers find their packages is the machine's affair.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["PEERS", "cache_folder", "cached", "run", "source_digest", "tool"]

PEERS = Path(__file__).parent.parent / "peers"
_BUILD = 1400.0  # seconds: a cold build of istiod compiles Istio and Kubernetes' client, nine minutes on two cores
_PAUSES = (3.0, 20.0, 0.0)  # seconds after each try


def cache_folder() -> Path:
    """Where built peers are kept."""
    named = os.environ.get("MESHKIT_CACHE")
    folder = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "meshkit")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """The file or folder ``name`` of the cache, made by ``build`` if it is not there; ``build`` must make it whole or
    not at all (build elsewhere, then rename). Two runs at once: the second waits for the first."""
    target = cache_folder() / name
    with target.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            build(target)
    return target


def source_digest(folder: Path, *suffixes: str) -> str:
    """Twelve characters that change when a file of ``folder`` with one of these suffixes does."""
    digest = hashlib.sha256()
    for source in sorted(path for path in folder.rglob("*") if path.suffix in suffixes):
        digest.update(source.relative_to(folder).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


def tool(name: str, peer: str) -> str:
    """Where the program ``name`` is; the test fails when it is not installed, as ``peer`` is built with it."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{peer} is built with {name}, which is not installed", pytrace=False)
    return found


def run(folder: Path, *command: str | Path) -> str:
    """Run a step of a build in ``folder``; what it printed. The test fails when it does, three times: steps fetch
    packages, and registries have their moments."""
    for pause in _PAUSES:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_BUILD, check=False)
        if not done.returncode:
            return done.stdout
        time.sleep(pause)
    text = f"{done.stdout}\n{done.stderr}"[-3000:]
    pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{text}", pytrace=False)
