"""Peers that are not Python packages: how they are had, and what to say where they cannot be."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.gopeers import go_peer
from tests.support.peercache import PEERS

_NEEDS_GO = "needs Go 1.26 or newer in PATH (https://go.dev/dl); the peer is built by itself then"
_PEER = "grpc-go-bench"


@cache
def grpc_go_lacks() -> str:
    """What keeps grpc-go from being measured here, and what to do about it; "" when it can be."""
    if shutil.which("go") is None:
        return _NEEDS_GO
    try:
        grpc_go()
    except pytest.fail.Exception as error:  # how the tests' helper says that a peer does not build
        return f"{_NEEDS_GO}; here: {' '.join(str(error).split())[:300]}"
    return ""


def grpc_go_version() -> str:
    """grpc-go's version and Go's, as "1.85.0 (go1.26.8)"; "absent" where there is no Go."""
    if shutil.which("go") is None:
        return "absent"
    found = re.search(r"google\.golang\.org/grpc v(\S+)", (PEERS / _PEER / "go.mod").read_text())
    go = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False, timeout=30)
    return f"{found[1] if found else 'unknown'} ({go.stdout.strip()})"


@cache
def grpc_go() -> Path:
    """The program of tests/peers/grpc-go-bench, built at first use and kept in the cache of peers."""
    return go_peer(_PEER)
