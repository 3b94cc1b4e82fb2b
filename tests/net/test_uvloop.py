"""The same on uvloop, which has its own transports, TLS and timers."""

import asyncio

import trustme
import uvloop

from meshkit.net import Pool, Server, ServerOptions, TlsSettings, client_context, server_context
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
            await asyncio.wait_for(closing, 5)

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
            await asyncio.wait_for(first.closed, 5)
            assert (await unary(await pool.connect()).outcome()).status == 0
            await pool.close()

    run(main())
