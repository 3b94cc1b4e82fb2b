import asyncio
import logging

import pytest

from meshkit.tasks import Scope


async def test_closing_ends_what_runs() -> None:
    scope = Scope("test")
    task = scope.start(asyncio.sleep(60))
    await scope.close()
    assert task.cancelled()
    assert len(scope) == 0


async def test_one_failure_is_logged_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("broken on purpose")

    async with Scope("test") as scope:
        other = scope.start(asyncio.sleep(60))
        failed = scope.start(fail(), name="loop")
        with caplog.at_level(logging.ERROR, "meshkit.tasks"):
            await asyncio.wait([failed])
            await asyncio.sleep(0)
        assert not other.done()
    assert "test/loop" in caplog.text
    assert "broken on purpose" in caplog.text


async def test_a_closed_scope_takes_nothing_more() -> None:
    scope = Scope("test")
    await scope.close()
    with pytest.raises(RuntimeError, match="closed"):
        scope.start(asyncio.sleep(0))


async def test_a_task_may_close_its_own_scope() -> None:
    scope = Scope("test")
    await asyncio.wait_for(scope.start(scope.close()), 1)
