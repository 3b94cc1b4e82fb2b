"""Deadlines without a timer for each call."""

import asyncio
import math

from meshkit.net import ServerOptions
from meshkit.net.chores import Chores
from meshkit.net.deadlines import Deadlines
from meshkit.net.timers import Timers
from meshkit.wire import Limits
from tests.support.calls import connected, serving, start, unary
from tests.support.waiting import until


class _Call:
    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.expired = False

    def expire(self) -> None:
        self.expired = True


async def test_a_round_expires_what_is_due_and_says_when_the_next_one_is():
    calls = [_Call(10.0), _Call(None), _Call(30.0), _Call(20.0)]
    deadlines = Deadlines(Chores(Timers.of(asyncio.get_running_loop()), (), lambda: None), lambda: calls)
    assert deadlines.earliest == math.inf
    deadlines.earliest = 10.0
    assert deadlines(9.0) == 10.0
    assert deadlines(10.0) == 20.0
    assert [call.expired for call in calls] == [True, False, False, False]
    calls = [call for call in calls if not call.expired]
    assert deadlines(30.0) == math.inf or not calls
    assert [call.expired for call in calls] == [False, True, True]


async def test_rounds_are_spaced_by_the_calls_they_look_at():
    calls = [_Call(10.0 + number / 1e6) for number in range(10_000)]
    deadlines = Deadlines(Chores(Timers.of(asyncio.get_running_loop()), (), lambda: None), lambda: calls)
    deadlines.earliest = 10.0
    assert 10.01 < deadlines(10.0) < 10.1


async def test_sinks_are_told_in_the_order_of_their_deadlines():
    async with serving() as (port, service, _), connected(port) as connection:
        now, told = asyncio.get_running_loop().time(), []
        for seconds in (1.0, 0.5, 0.75, 60.0):
            call = start(connection, b"/test.Echo/Hang", message=b"", end=True, deadline=now + seconds)
            call.on_deadline = lambda call=call, seconds=seconds: (told.append(seconds), call.stream.cancel())
        assert connection.deadlines.earliest == now + 0.5
        await until(lambda: len(told) == 3)
        assert told == [0.5, 0.75, 1.0]
        assert connection.in_flight == 1
        assert asyncio.get_running_loop().time() < connection.deadlines.earliest <= now + 60.0
        await until(lambda: [one.cancelled for one in service.handlers] == ["reset", "reset", "reset", None])


async def test_what_waits_for_a_stream_expires_too():
    options = ServerOptions(limits=Limits(max_concurrent_streams=1))
    async with serving(options) as (port, _, _), connected(port) as connection:
        start(connection, b"/test.Echo/Hang", message=b"", end=True)
        waiting = unary(connection, deadline=asyncio.get_running_loop().time() + 0.05)
        told = asyncio.Event()
        waiting.on_deadline = told.set
        async with asyncio.timeout(30):
            await told.wait()
        waiting.stream.cancel()
        assert connection.in_flight == 1
