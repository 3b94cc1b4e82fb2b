"""Peers that are not Python packages: how they are had, and what to say where they cannot be."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from tests.support.gopeers import go_peer

NEEDS_GO = "needs Go 1.26 or newer in PATH (https://go.dev/dl); it is built by itself then"


def have_go() -> bool:
    """Whether peers written in Go can be built here."""
    return shutil.which("go") is not None


@cache
def grpc_go() -> Path:
    """The program of tests/peers/grpc-go-bench, built at first use and kept in the cache of peers."""
    return go_peer("grpc-go-bench")
