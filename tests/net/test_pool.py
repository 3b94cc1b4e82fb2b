"""Pools: connecting, failing fast, backing off, replacing connections, resting."""

import asyncio
import socket
import ssl
from contextlib import suppress

import pytest

from meshkit.errors import ConfigError
from meshkit.net import (
    BackoffPolicy,
    ClientOptions,
    ConnectionFailed,
    ConnectivityState,
    Pool,
    Server,
    ServerOptions,
    TlsSettings,
)
from tests.support import h2peer as h2
from tests.support.calls import Service, serving, start, unary
from tests.support.ports import free_port
from tests.support.waiting import until

FAST = ClientOptions(backoff=BackoffPolicy(initial=0.05, maximum=0.2))


class HandClock:
    """A clock whose sleepers wake when told; `slept` are the waits asked for."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.wakers: list[asyncio.Future[None]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        waker = asyncio.get_running_loop().create_future()
        self.wakers.append(waker)
        await waker
        self.time += seconds

    def wake(self) -> None:
        self.wakers.pop(0).set_result(None)


async def test_states_from_idle_to_shutdown():
    async with serving() as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}")
        states = []
        pool.listen(states.append)
        assert pool.state is ConnectivityState.IDLE
        assert pool.ready_nowait() is None
        connection = await pool.connect()
        assert pool.ready_nowait() is connection
        await pool.close()
        assert states == [ConnectivityState.CONNECTING, ConnectivityState.READY, ConnectivityState.SHUTDOWN]
        with pytest.raises(ConnectionFailed, match="closed"):
            await pool.connect()


async def test_a_listener_may_leave():
    async with serving() as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}")
        states = []
        pool.listen(states.append)()
        await pool.connect()
        await pool.close()
        assert states == []


async def test_a_refused_connection_fails_fast_with_address_and_reason():
    port = free_port()
    pool = Pool(f"127.0.0.1:{port}")
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{port}.*[Rr]efused"):
        await pool.connect()
    assert pool.state is ConnectivityState.TRANSIENT_FAILURE
    with pytest.raises(ConnectionFailed, match=r"[Rr]efused"):
        await pool.connect()
    assert pool.attempts == 1
    await pool.close()


async def test_names_that_do_not_resolve_say_so():
    pool = Pool("no-such-host.invalid:80")
    with pytest.raises(ConnectionFailed, match=r"no-such-host\.invalid:80"):
        await pool.connect()
    await pool.close()


async def test_a_certificate_that_is_not_there_yet_is_a_reason_too():
    def context() -> ssl.SSLContext:
        raise RuntimeError("no certificate yet")

    async with serving() as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}", tls=TlsSettings(context))
        with pytest.raises(ConnectionFailed, match="no certificate yet"):
            await pool.connect()
        await pool.close()


async def test_an_address_that_is_none_raises_at_once():
    with pytest.raises(ConfigError):
        Pool("nowhere")


async def test_backoff_between_attempts_and_wait_for_ready():
    clock, port = HandClock(), free_port()
    pool = Pool(f"127.0.0.1:{port}", clock=clock, random=lambda: 0.5)
    waiting = asyncio.ensure_future(pool.connect(wait_for_ready=True))
    for attempt, delay in enumerate((1.0, 1.6, 2.56)):
        await until(lambda attempt=attempt: len(clock.slept) == attempt + 1)
        assert clock.slept[-1] == pytest.approx(delay, abs=0.1)
        assert not waiting.done()
        clock.wake()
    await until(lambda: len(clock.slept) == 4)
    service = Service()

    server = Server(service.accept)
    await server.listen(port=port)
    clock.wake()
    connection = await asyncio.wait_for(waiting, 30)
    assert connection.ready
    assert pool.state is ConnectivityState.READY
    assert pool.last_error == ""
    await pool.close()
    await server.close()


async def test_a_deadline_ends_the_wait():
    pool = Pool(f"127.0.0.1:{free_port()}")
    deadline = asyncio.get_running_loop().time() + 0.5
    with pytest.raises(ConnectionFailed, match=r"deadline.*[Rr]efused"):
        await pool.connect(deadline, wait_for_ready=True)
    await pool.close()


async def test_a_server_that_says_nothing_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pool = Pool(f"127.0.0.1:{silent.getsockname()[1]}", options=ClientOptions(connect_timeout=0.1))
        with pytest.raises(ConnectionFailed, match=r"no answer within 0\.1 s"):
            await pool.connect()
        await pool.close()


async def test_happy_eyeballs_goes_on_when_an_address_fails(monkeypatch):
    async with serving() as (port, _, _):
        loop = asyncio.get_running_loop()

        async def resolve(host, port, **_):
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
            ]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        pool = Pool(f"both.test:{port}")
        call = unary(await pool.connect())
        assert (await call.outcome()).status == 0
        await pool.close()


async def test_goaway_replaces_the_connection_and_loses_nothing():
    async with serving() as (port, service, server):
        pool = Pool(f"127.0.0.1:{port}", options=FAST)
        first = await pool.connect()
        running = start(first, b"/test.Echo/Chat")
        running.stream.send(b"before")
        assert await running.next() == b"before"
        next(iter(server._connections)).drain("a test")
        done = 0
        for _ in range(200):
            connection = pool.ready_nowait() or await pool.connect()
            outcome = await unary(connection).outcome()
            assert outcome.status == 0 or outcome.unprocessed
            done += outcome.status == 0
        assert done >= 199
        assert pool.ready_nowait() is not first
        running.stream.send(b"after", end=True)
        assert await running.next() == b"after"
        assert (await running.outcome()).status == 0
        await asyncio.wait_for(first.closed, 30)
        await pool.close()


async def test_a_server_that_leaves_at_once_each_time_is_backed_off_from():
    greeted = 0

    async def play(peer):
        nonlocal greeted
        greeted += 1
        peer.send(h2.goaway(0))

    clock = HandClock()
    async with h2.scripted(play) as port:
        pool = Pool(f"127.0.0.1:{port}", clock=clock)
        with suppress(ConnectionFailed):
            await pool.connect()
        await until(lambda: clock.slept)
        assert greeted == 2
        assert pool.state is ConnectivityState.TRANSIENT_FAILURE
        await pool.close()


async def test_a_server_that_lets_each_connection_carry_one_call_is_good():
    async def play(peer):
        stream = (await peer.until(h2.DATA, flags=h2.END_STREAM)).stream
        peer.send(h2.goaway(2**31 - 1))  # before the answer
        await asyncio.sleep(0.02)
        peer.send(h2.headers(stream, h2.RESPONSE), h2.data(stream, h2.message(b"x")))
        peer.send(h2.headers(stream, h2.OK, end=True))
        await peer.rest()

    async with h2.scripted(play) as port:
        pool = Pool(f"127.0.0.1:{port}")
        for _ in range(5):
            connection = await pool.connect()
            call = unary(connection)
            await connection.retired
            waited = await asyncio.wait_for(pool.connect(), 30)
            assert waited is not connection
            assert (await call.outcome()).status == 0
        await pool.close()


async def test_too_many_pings_halves_the_rate():
    async def play(peer):
        peer.send(h2.goaway(0, 11, b"too_many_pings"))
        await peer.rest()

    options = ClientOptions(keepalive_time=30.0)
    async with h2.scripted(play) as port:
        pool = Pool(f"127.0.0.1:{port}", options=options, clock=HandClock())
        with suppress(ConnectionFailed):
            await pool.connect()
        await until(lambda: pool.keepalive_time >= 60.0)
        await pool.close()


async def test_several_connections_share_the_load():
    async with serving() as (port, service, server):
        pool = Pool(f"127.0.0.1:{port}", size=3)
        await pool.connect()
        await until(lambda: len(pool._ready) == 3)
        calls = [start(pool.ready_nowait(), b"/test.Echo/Hang") for _ in range(9)]
        assert sorted(connection.in_flight for connection in pool._ready) == [3, 3, 3]
        assert pool.in_flight == 9
        for call in calls:
            call.stream.cancel()
        assert pool.in_flight == 0
        await pool.close()


async def test_an_unused_pool_rests_and_wakes():
    async with serving() as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}", options=ClientOptions(idle_timeout=0.3))
        first = await pool.connect()
        await unary(first).outcome()
        await asyncio.wait_for(first.closed, 30)
        await until(lambda: pool.state is ConnectivityState.IDLE)
        again = await pool.connect()
        assert (await unary(again).outcome()).status == 0
        await pool.close()


async def test_old_connections_are_replaced():
    async with serving() as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}", options=ClientOptions(max_connection_age=0.3))
        first = await pool.connect()
        await unary(first).outcome()
        await asyncio.wait_for(first.closed, 30)
        assert await pool.connect() is not first
        await pool.close()


async def test_closing_gives_calls_their_grace():
    async with serving() as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}")
        connection = await pool.connect()
        chat, hang = start(connection, b"/test.Echo/Chat"), start(connection, b"/test.Echo/Hang")
        closing = asyncio.ensure_future(pool.close(1.0))
        await asyncio.sleep(0)
        chat.stream.end()
        assert (await chat.outcome()).status == 0
        await closing
        assert (await hang.outcome()).status == 14


async def test_keepalive_notices_a_dead_server():
    async def play(peer):
        await asyncio.sleep(30)

    options = ClientOptions(keepalive_time=0.3, keepalive_timeout=0.05)
    async with h2.scripted(play) as port:
        pool = Pool(f"127.0.0.1:{port}", options=options)
        call = unary(await pool.connect())
        outcome = await call.outcome()
        assert outcome.status == 14
        assert "keepalive" in outcome.message
        await pool.close()


async def test_keepalive_against_a_live_server_disturbs_nobody():
    server_options = ServerOptions(permit_keepalive_time=0.0)
    options = ClientOptions(keepalive_time=0.02, keepalive_timeout=30.0)
    async with serving(server_options) as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}", options=options)
        connection = await pool.connect()
        call = start(connection, b"/test.Echo/Chat")
        await asyncio.sleep(0.2)
        call.stream.send(b"still here", end=True)
        assert (await call.outcome()).status == 0
        assert connection.ready
        await pool.close()


async def test_statistics_and_repr_are_readable():
    async with serving() as (port, _, _):
        pool = Pool(f"127.0.0.1:{port}")
        connection = await pool.connect()
        await unary(connection).outcome()
        seen = pool.statistics()
        assert seen.connections[0].answered == 1
        assert seen.state is ConnectivityState.READY
        assert f"127.0.0.1:{port}" in repr(pool)
        assert f"127.0.0.1:{port}" in repr(connection)
        await pool.close()
