"""Dubbo's servers, each started once per module that calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.dubbo_peers import DubboServer, dubbo_server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., DubboServer]]:
    """``servers(peer, group, version)`` is a running server of that kind, the same one for all tests of a module."""
    running: dict[tuple[str, ...], DubboServer] = {}
    with ExitStack() as stack:

        def server(peer: str, group: str = "", version: str = "") -> DubboServer:
            key = (peer, group, version)
            if key not in running:
                folder = tmp_path_factory.mktemp("dubbo")
                running[key] = stack.enter_context(dubbo_server(peer, folder, group, version))
            return running[key]

        yield server
