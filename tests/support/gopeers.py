"""Programs written in Go, as peers: built once, into a cache outside the tree; from the module proxy, or from the
sources under ``tests/peers`` whose modules that proxy serves.

``MESHKIT_CACHE`` names the cache (default ``~/.cache/meshkit``). A program that cannot be built fails the tests that
need it: nothing is skipped. Go's own settings (GOPROXY, GOFLAGS, ...) are the machine's affair.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["cache_folder", "go_binary", "go_peer", "go_sources"]

_BUILD = 1400.0  # seconds: a cold build of istiod compiles Istio and Kubernetes' client, nine minutes on two cores
_PEERS = Path(__file__).parent.parent / "peers"


def cache_folder() -> Path:
    """Where built peers are kept."""
    named = os.environ.get("MESHKIT_CACHE")
    folder = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "meshkit")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def go_binary(package: str, version: str) -> Path:
    """The program of a Go package, as ``go_binary("github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3")``."""
    return _once(package.replace("/", "_") + "@" + version, lambda binary: _build(package, version, binary))


def go_peer(peer: str, package: str = ".") -> Path:
    """A program of ``tests/peers``, as ``go_peer("dubbo-go-3.3", "./server")``; built anew when its sources change."""
    folder = _PEERS / peer
    digest = hashlib.sha256()
    for source in sorted(path for path in folder.rglob("*") if path.suffix in {".go", ".mod", ".sum"}):
        digest.update(source.read_bytes())
    name = f"{peer}{package.lstrip('.').replace('/', '_')}@{digest.hexdigest()[:12]}"
    return _once(name, lambda binary: _build_peer(folder, package, binary))


def go_sources(module: str, version: str) -> Path:
    """The sources of a Go module, in Go's own cache; not to be written to."""
    with tempfile.TemporaryDirectory() as scratch:
        said = _run(scratch, _go(module), "mod", "download", "-json", f"{module}@{version}")
    return Path(json.loads(said)["Dir"])


def _once(name: str, build: Callable[[Path], None]) -> Path:
    binary = cache_folder() / name
    with binary.with_name(f"{name}.lock").open("w") as lock:  # two runs at once: the second waits for the first
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            build(binary)
    return binary


def _build_peer(folder: Path, package: str, binary: Path) -> None:
    built = binary.with_name(f"{binary.name}.new")
    _run(str(folder), _go(folder.name), "build", "-ldflags=-s -w", "-o", str(built), package)
    built.replace(binary)


def _build(package: str, version: str, binary: Path) -> None:
    go = _go(package)
    # A module of its own, as `go install` refuses packages whose go.mod says "replace".
    with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
        Path(scratch, "go.mod").write_text("module peer\n\ngo 1.21\n")
        _run(scratch, go, "get", f"{package}@{version}")
        _run(scratch, go, "build", "-mod=mod", "-trimpath", "-o", "peer", package)
        Path(scratch, "peer").replace(binary)


def _go(package: str) -> str:
    go = shutil.which("go")
    if go is None:
        pytest.fail(f"{package} is built with Go, which is not installed", pytrace=False)
    return go


def _run(folder: str, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_BUILD, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}", pytrace=False)
    return done.stdout
