"""Programs written in Java, as peers: a folder of ``tests/peers`` built by Maven."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.support.peercache import PEERS, cached, run, source_digest, tool

__all__ = ["java_peer"]

_FAST = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m")  # programs that run for seconds


def java_peer(peer: str, main: str, *options: str) -> list[str]:
    """The command of a class of ``tests/peers``, as ``java_peer("dubbo-java", "peer.Server")``; ``options`` are the
    JVM's. Built anew when its sources change."""
    folder = PEERS / peer
    jars = cached(f"{peer}@{source_digest(folder, '.java', '.proto', '.xml')}", lambda target: _build(folder, target))
    return [tool("java", peer), *_FAST, *options, "-cp", f"{jars}/*:{jars}/lib/*", main]


def _build(folder: Path, target: Path) -> None:
    """Maven writes into the folder that it builds, so that is a copy; what is kept is the jar and what it needs."""
    made = target.with_name(f"{target.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        copy = Path(scratch) / folder.name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("target"))
        run(copy, tool("mvn", folder.name), "--batch-mode", "--quiet", "package")
        made.mkdir()
        for jar in (copy / "target").glob("*.jar"):
            shutil.move(jar, made)
        shutil.move(copy / "target" / "lib", made)
    made.replace(target)
