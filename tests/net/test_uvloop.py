"""The same on uvloop, which has its own transports, TLS and timers."""

import asyncio

import pytest
import trustme
import uvloop

from meshkit.net import (
    ClientConnection,
    ClientOptions,
    Pool,
    Server,
    ServerOptions,
    TlsSettings,
    client_context,
    server_context,
)
from meshkit.net.address import parse_address
from meshkit.net.dial import dial
from tests.support.calls import Service, connected, serving, start, unary
from tests.support.waiting import until


def run(main) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def test_calls_deadlines_and_graceful_close():
    async def main() -> None:
        service = Service()
        server = Server(service.accept)
        async with connected(await server.listen()) as connection:
            calls = [unary(connection, bytes(number * 100)) for number in range(100)]
            assert [(await call.outcome()).status for call in calls] == [0] * 100
            late = start(connection, b"/x/Hang", ((b"grpc-timeout", b"20m"),), message=b"", end=True)
            assert (await late.outcome()).status == 4
            chat = start(connection, b"/x/Chat")
            chat.stream.send(bytes(500_000))
            assert await chat.next() == bytes(500_000)
            closing = asyncio.ensure_future(server.close(5.0))
            await until(lambda: not connection.ready)
            chat.stream.end()
            assert (await chat.outcome()).status == 0
            await asyncio.wait_for(closing, 30)

    run(main())


def test_a_connect_that_is_cancelled_when_it_is_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    """uvloop then closes the transport and calls no connection_lost."""
    made: list[ClientConnection] = []

    async def main() -> None:
        faults: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with serving() as (port, _, _):
            address = parse_address(f"127.0.0.1:{port}")
            dialing = asyncio.ensure_future(dial(address, ClientOptions(), None, 0))

            def cut_off(connection: ClientConnection, transport: asyncio.Transport) -> None:
                made.append(connection)
                connection_made(connection, transport)
                dialing.cancel()

            connection_made = ClientConnection.connection_made
            monkeypatch.setattr(ClientConnection, "connection_made", cut_off)
            with pytest.raises(asyncio.CancelledError):
                await dialing
            await asyncio.wait_for(made[0].closed, 30)
            await asyncio.sleep(0.01)
        assert faults == []

    run(main())


def test_tls_beside_plaintext_and_unix_sockets(tmp_path):
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server_tls = TlsSettings(server_context(cert=tmp_path / "server.pem"), permissive=True)
    client_tls = TlsSettings(client_context(ca=tmp_path / "ca.pem"))

    async def main() -> None:
        async with (
            serving(tls=server_tls) as (port, _, server),
            connected(f"localhost:{port}", tls=client_tls) as secure,
            connected(port) as plain,
        ):
            await server.listen(path=str(tmp_path / "socket"))
            for connection in (secure, plain):
                call = unary(connection, bytes(2_000_000))
                assert (await call.outcome()).status == 0
            async with connected(f"unix:{tmp_path}/socket") as local:
                assert (await unary(local).outcome()).status == 0

    run(main())


def test_large_replies_and_connections_that_idle():
    async def main() -> None:
        async with serving(ServerOptions(max_connection_idle=0.05)) as (port, _, _):
            pool = Pool(f"127.0.0.1:{port}")
            first = await pool.connect()
            call = start(first, b"/x/Big", message=b"4000000", end=True)
            assert (await call.outcome()).status == 0
            await asyncio.wait_for(first.closed, 30)
            assert (await unary(await pool.connect()).outcome()).status == 0
            await pool.close()

    run(main())
