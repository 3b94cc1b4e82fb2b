"""Programs written in Go, as peers: from the module proxy, or from the sources under ``tests/peers``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.support.peercache import PEERS, cached, run, source_digest, tool

__all__ = ["go_binary", "go_peer", "go_sources"]


def go_binary(package: str, version: str) -> Path:
    """The program of a Go package, as ``go_binary("github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3")``."""
    return cached(package.replace("/", "_") + "@" + version, lambda binary: _build(package, version, binary))


def go_peer(peer: str, package: str = ".") -> Path:
    """A program of ``tests/peers``, as ``go_peer("dubbo-go-3.3", "./server")``; built anew when its sources change."""
    folder = PEERS / peer
    name = f"{peer}{package.lstrip('.').replace('/', '_')}@{source_digest(folder, '.go', '.mod', '.sum')}"
    return cached(name, lambda binary: _build_peer(folder, package, binary))


def go_sources(module: str, version: str) -> Path:
    """The sources of a Go module, in Go's own cache; not to be written to."""
    with tempfile.TemporaryDirectory() as scratch:
        said = run(Path(scratch), tool("go", module), "mod", "download", "-json", f"{module}@{version}")
    return Path(json.loads(said)["Dir"])


def _build_peer(folder: Path, package: str, binary: Path) -> None:
    built = binary.with_name(f"{binary.name}.new")
    run(folder, tool("go", folder.name), "build", "-ldflags=-s -w", "-o", built, package)
    built.replace(binary)


def _build(package: str, version: str, binary: Path) -> None:
    go = tool("go", package)
    # A module of its own, as `go install` refuses packages whose go.mod says "replace".
    with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
        folder = Path(scratch)
        (folder / "go.mod").write_text("module peer\n\ngo 1.21\n")
        run(folder, go, "get", f"{package}@{version}")
        run(folder, go, "build", "-mod=mod", "-trimpath", "-o", "peer", package)
        (folder / "peer").replace(binary)
