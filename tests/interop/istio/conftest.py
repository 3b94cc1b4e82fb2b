"""istiod for tests: one per module, emptied between tests; or one of the test's own, to be killed and started anew.

Beside ``istiod`` and ``own_istiod`` a test may make one with settings: `tests.support.istiod.running_istiod`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.support.istiod import Istiod, running_istiod
from tests.support.waiting import until


@pytest.fixture(scope="module")
def module_istiod(tmp_path_factory: pytest.TempPathFactory) -> Generator[Istiod]:
    """One process for all tests of a module."""
    istiod = Istiod(tmp_path_factory.mktemp("istiod"))
    try:
        asyncio.run(istiod.start())
        yield istiod
    finally:
        istiod.stop()


@pytest.fixture
async def istiod(module_istiod: Istiod) -> AsyncGenerator[Istiod]:
    """The module's istiod, with no YAML and no client: every test has its own."""
    await module_istiod.clear()
    await until(lambda: _left_alone(module_istiod))
    yield module_istiod


async def _left_alone(istiod: Istiod) -> bool:
    """Whether it has noticed that the streams of the test before are gone."""
    return not await istiod.watchers()


@pytest.fixture
async def own_istiod(tmp_path: Path) -> AsyncGenerator[Istiod]:
    """An istiod that nobody shares."""
    async with running_istiod(tmp_path) as istiod:
        yield istiod
