"""Our server against scripted clients: admission, deadlines, places for handlers, graceful close."""

import asyncio
import logging
import socket
import ssl

import pytest
import trustme

from meshkit.net import (
    ClientOptions,
    ConnectionFailed,
    Server,
    ServerOptions,
    TlsSettings,
    client_context,
    server_context,
)
from meshkit.wire import Limits
from tests.support import h2peer as h2
from tests.support.calls import Service, connected, serving, start, unary
from tests.support.waiting import until


async def answer(port: int, block: bytes, *more: bytes) -> tuple[dict, list]:
    """The fields of the answer to one request without a body, and the frames after it."""
    peer = await h2.Peer.connect(port)
    peer.send(h2.headers(1, block, end=not more), *more)
    got = await peer.until(h2.HEADERS, stream=1)
    if dict(got.fields)[b"content-type"] == b"application/grpc":
        assert got.flags & h2.END_STREAM
    else:
        body = await peer.until(h2.DATA, stream=1)
        assert b"gRPC" in body.payload
        assert body.flags & h2.END_STREAM
    await peer.close()
    return dict(got.fields)


def fields(**changes: bytes) -> bytes:
    base = {":method": b"POST", ":scheme": b"http", ":path": b"/a/b", ":authority": b"t", "te": b"trailers",
            "content-type": b"application/grpc"}  # fmt: skip
    base.update({name.replace("_", "-"): value for name, value in changes.items()})
    return h2.block([(name.encode(), value) for name, value in base.items()])


@pytest.mark.parametrize(
    ("changes", "http", "status"),
    [
        ({"content_type": b"text/html"}, b"415", b"13"),
        ({"content_type": b"application/grpc-web"}, b"415", b"13"),
        ({":method": b"GET", "content_type": b""}, b"405", b"13"),
        ({":method": b"GET"}, b"405", b"13"),
        ({"grpc_timeout": b"soon"}, b"400", b"13"),
        ({"grpc_timeout": b"123456789S"}, b"400", b"13"),
        ({"grpc_encoding": b"br"}, b"200", b"12"),
    ],
)
async def test_bad_requests_never_reach_a_handler(changes, http, status):
    async with serving() as (port, service, server):
        got = await answer(port, fields(**changes))
        assert (got[b":status"], got[b"grpc-status"]) == (http, status)
        assert service.handlers == []
        if b"grpc_encoding" in changes:
            assert got[b"grpc-accept-encoding"] == b"identity,deflate,gzip"
        assert server.statistics()[0].refused == 1


async def test_a_client_that_is_not_grpcs_is_refused_when_its_request_has_ended():
    async with serving() as (port, _, server):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, fields(content_type=b"text/html")), h2.headers(3, fields(content_type=b"text/html")))
        peer.send(h2.window_update(1, 0), h2.data(3, b"a form"))
        reset = await peer.until(h2.RST_STREAM, stream=1)  # its fault is named, though a refusal was due
        assert int.from_bytes(reset.payload, "big") == 1
        peer.send(h2.data(3, b"", end=True))
        assert dict((await peer.until(h2.HEADERS)).fields)[b":status"] == b"415"
        assert (await peer.until(h2.DATA, stream=3)).flags & h2.END_STREAM
        assert server.statistics()[0].streams == 0
        await peer.close()


async def test_an_early_rejection_closes_the_clients_half():
    async with serving() as (port, _, _):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, fields(content_type=b"text/html")))
        await peer.until(h2.HEADERS, stream=1)
        reset = await peer.until(h2.RST_STREAM, stream=1)
        assert int.from_bytes(reset.payload, "big") == 0
        await peer.close()


async def test_subtypes_of_grpc_are_welcome_and_echoed():
    async with serving() as (port, service, _):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, fields(content_type=b"application/grpc+proto", **{":path": b"/x/Echo"})))
        peer.send(h2.data(1, h2.message(b"hi"), end=True))
        got = await peer.until(h2.HEADERS, stream=1)
        assert dict(got.fields)[b"content-type"] == b"application/grpc+proto"
        assert (await peer.until(h2.DATA)).payload == h2.message(b"hi")
        await peer.close()


async def test_headers_message_and_trailers_are_one_write():
    async with serving() as (port, service, server):
        peer = await h2.Peer.connect(port)
        await peer.until(h2.SETTINGS, flags=h2.ACK)
        for stream in (1, 3, 5):
            peer.send(h2.headers(stream, h2.request()), h2.data(stream, h2.message(b"x"), end=True))
        first = await peer.reader.read(1 << 16)
        assert first.count(h2.message(b"x")) == 3
        await peer.close()


async def test_the_deadline_cancels_the_handler_and_tells_the_client():
    async with serving() as (port, service, _):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, h2.request(b"/x/Hang", (b"grpc-timeout", b"30m")), end=True))
        got = await peer.until(h2.HEADERS, stream=1)
        assert dict(got.fields)[b"grpc-status"] == b"4"
        assert service.handlers[0].cancelled == "deadline"
        service.handlers[0].stream.finish(0)
        service.handlers[0].stream.release()
        await peer.close()


async def test_a_deadline_with_data_in_the_way_resets():
    async with serving() as (port, service, _):
        peer = await h2.Peer.connect(port)
        service.methods["Pour"] = lambda handler: handler.stream.send(bytes(200_000)) or False
        peer.send(h2.headers(1, h2.request(b"/x/Pour", (b"grpc-timeout", b"30m")), end=True))
        got = await peer.until(h2.RST_STREAM, stream=1)
        assert int.from_bytes(got.payload, "big") == 8
        assert service.handlers[0].cancelled == "deadline"
        await peer.close()


async def test_a_finished_call_has_no_deadline():
    async with serving() as (port, service, _), connected(port) as connection:
        assert (await unary(connection, fields=((b"grpc-timeout", b"1S"),)).outcome()).status == 0
        await asyncio.sleep(1.2)
        assert service.handlers[0].cancelled is None


async def test_a_stream_reset_in_the_same_batch_starts_no_handler():
    async with serving() as (port, service, _):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, h2.request()), h2.reset(1), h2.headers(3, h2.request(b"/x/Echo"), end=True))
        await peer.until(h2.HEADERS, stream=3)
        assert [handler.stream._stream.id for handler in service.handlers] == [3]
        await peer.close()


async def test_a_place_is_free_only_when_the_handler_has_ended():
    options = ServerOptions(max_handlers=2)
    service = Service()
    service.release_on_cancel = False
    async with serving(options, service=service) as (port, _, server):
        peer = await h2.Peer.connect(port)
        for stream in (1, 3):
            peer.send(h2.headers(stream, h2.request(b"/x/Hang"), end=True))
            await until(lambda stream=stream: len(service.handlers) == (stream + 1) // 2)
            peer.send(h2.reset(stream))
            await until(lambda: service.handlers[-1].cancelled)
        peer.send(h2.headers(5, h2.request(b"/x/Echo"), end=True))
        refused = await peer.until(h2.RST_STREAM, stream=5)
        assert int.from_bytes(refused.payload, "big") == 7
        assert server.statistics()[0].running == 2
        for handler in service.handlers:
            handler.stream.release()
        peer.send(h2.headers(9, h2.request(b"/x/Echo"), end=True))
        await peer.until(h2.HEADERS, stream=9)
        await peer.close()


async def test_graceful_close_finishes_what_runs():
    service = Service()
    server = Server(service.accept)
    port = await server.listen()
    async with connected(port) as connection:
        call = start(connection, b"/test.Echo/Chat")
        call.stream.send(b"a")
        assert await call.next() == b"a"
        closing = asyncio.ensure_future(server.close(30.0))
        await until(lambda: not connection.ready)
        call.stream.send(b"b", end=True)
        assert await call.next() == b"b"
        assert (await call.outcome()).status == 0
        await asyncio.wait_for(closing, 30)


async def test_graceful_close_says_goaway_twice_and_takes_what_races():
    service = Service()
    server = Server(service.accept)
    peer = await h2.Peer.connect(await server.listen())
    peer.send(h2.headers(1, h2.request(b"/x/Hang"), end=True))
    await until(lambda: service.handlers)
    closing = asyncio.ensure_future(server.close(30.0))
    first = await peer.until(h2.GOAWAY)
    assert int.from_bytes(first.payload[:4], "big") == 2**31 - 1
    ping = await peer.until(h2.PING)
    peer.send(h2.headers(3, h2.request(b"/x/Echo"), end=True))
    peer.send(h2.frame(h2.PING, h2.ACK, 0, ping.payload))
    second = await peer.until(h2.GOAWAY)
    assert int.from_bytes(second.payload[:4], "big") == 3
    service.handlers[0].stream.finish(0)
    await closing
    frames = await peer.rest()
    assert {frame.stream for frame in frames if frame.kind == h2.HEADERS} <= {1, 3}
    assert 1 in {frame.stream for frame in frames if frame.kind == h2.HEADERS}
    await peer.close()


async def test_grace_that_is_over_cuts():
    service = Service()
    server = Server(service.accept)
    port = await server.listen()
    async with connected(port) as connection:
        call = start(connection, b"/test.Echo/Hang", end=True)
        await until(lambda: service.handlers)
        await server.close(0.05)
        assert (await call.outcome()).status == 14
        assert service.handlers[0].cancelled == "connection"


async def test_nothing_listens_after_close():
    server = Server(Service().accept)
    port = await server.listen()
    await server.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_in_use_says_which():
    server = Server(Service().accept)
    port = await server.listen()
    with pytest.raises(OSError, match=str(port)):
        await server.listen(port=port)
    await server.close()


async def test_a_lost_connection_cancels_its_handlers():
    async with serving() as (port, service, server):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, h2.request(b"/x/Hang"), end=True))
        await until(lambda: service.handlers)
        peer.writer.transport.abort()
        await until(lambda: service.handlers[0].cancelled == "connection")
        await until(lambda: not server.statistics())


async def test_idle_connections_are_closed():
    async with serving(ServerOptions(max_connection_idle=0.5)) as (port, _, _), connected(port) as connection:
        call = start(connection, b"/test.Echo/Chat")
        await asyncio.sleep(0.8)
        call.stream.send(b"busy", end=True)
        assert (await call.outcome()).status == 0
        await asyncio.wait_for(connection.closed, 30)


async def test_old_connections_are_closed_and_cut_after_their_grace():
    options = ServerOptions(max_connection_age=1.0, max_connection_age_grace=0.1)
    async with serving(options) as (port, service, _), connected(port) as connection:
        call = start(connection, b"/test.Echo/Hang", end=True)
        assert (await call.outcome()).status == 14
        assert service.handlers[0].cancelled == "connection"
        await asyncio.wait_for(connection.closed, 30)


async def test_too_many_pings_end_the_connection():
    async with serving() as (port, _, _):
        peer = await h2.Peer.connect(port)
        for number in range(4):
            peer.send(h2.frame(h2.PING, 0, 0, b"%08d" % number))
        frames = await peer.rest()
        goaway = next(frame for frame in frames if frame.kind == h2.GOAWAY)
        assert goaway.payload[4:] == b"\0\0\0\x0btoo_many_pings"
        await peer.close()


async def test_a_silent_client_is_asked_and_dropped():
    async with serving(ServerOptions(keepalive_time=0.05, keepalive_timeout=0.05)) as (port, _, server):
        peer = await h2.Peer.connect(port)
        await peer.until(h2.PING)
        await peer.rest()
        await peer.close()


async def test_further_connections_wait_for_room():
    async with serving(ServerOptions(max_connections=1)) as (port, _, server):
        first = await h2.Peer.connect(port)
        second = await h2.Peer.connect(port, greet=False)
        second.send(h2.PREFACE + h2.settings())
        await asyncio.sleep(0.05)
        assert len(server.statistics()) == 1
        await first.close()
        await second.until(h2.SETTINGS)
        await second.close()


async def test_unix_sockets(tmp_path):
    service = Service()
    path = str(tmp_path / "mesh.sock")
    server = Server(service.accept)
    assert await server.listen(path=path) == 0
    async with connected(f"unix:{path}") as connection:
        call = unary(connection)
        assert (await call.outcome()).status == 0
        assert service.handlers[0].stream.peer.startswith("unix:")
        assert dict(service.handlers[0].stream.fields)[b":authority"] == b"localhost"
    await server.close()
    assert not (tmp_path / "mesh.sock").exists()


async def test_a_dead_servers_socket_file_is_replaced(tmp_path):
    path = str(tmp_path / "mesh.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    server = Server(Service().accept)
    await server.listen(path=path)
    other = Server(Service().accept)
    with pytest.raises(OSError, match="in use"):
        await other.listen(path=path)
    await server.close()


async def test_all_interfaces_share_one_port():
    service = Service()
    server = Server(service.accept)
    port = await server.listen(host=None)
    async with connected(f"localhost:{port}") as connection:
        assert (await unary(connection).outcome()).status == 0
    await server.close()


# -- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("tls")
    certificates = {}
    for name, identities in {
        "server": ["localhost", "127.0.0.1"],
        "client": ["client.test"],
        "spiffe": [],
    }.items():
        path = folder / f"{name}.pem"
        if identities:
            authority.issue_cert(*identities).private_key_and_cert_chain_pem.write_to_path(str(path))
        certificates[name] = path
    certificates["ca"] = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(certificates["ca"]))
    return certificates


async def test_tls_with_identities(authority):
    server_tls = TlsSettings(server_context(cert=authority["server"], ca=authority["ca"]))
    client_tls = TlsSettings(client_context(ca=authority["ca"], cert=authority["client"]))
    async with serving(tls=server_tls) as (port, service, _), connected(port, tls=client_tls) as connection:
        call = unary(connection, bytes(1 << 20))
        assert (await call.outcome()).status == 0
        assert len(call.messages[0]) == 1 << 20
        assert service.handlers[0].stream.peer_identity == "client.test"
        assert dict(service.handlers[0].stream.fields)[b":scheme"] == b"https"
        assert connection.tls is not None
        assert connection.tls.selected_alpn_protocol() == "h2"


async def test_a_client_without_the_wanted_certificate_is_refused(authority):
    server_tls = TlsSettings(server_context(cert=authority["server"], ca=authority["ca"]))
    client_tls = TlsSettings(client_context(ca=authority["ca"]))
    async with serving(tls=server_tls) as (port, _, _):
        with pytest.raises(ConnectionFailed):
            async with connected(port, ClientOptions(connect_timeout=2.0), tls=client_tls):
                pass


async def test_an_unknown_authority_is_refused_with_the_reason(authority):
    server_tls = TlsSettings(server_context(cert=authority["server"]))
    async with serving(tls=server_tls) as (port, _, _):
        with pytest.raises(ConnectionFailed, match="TLS: .*certificate"):
            async with connected(port, tls=TlsSettings(client_context())):
                pass


async def test_a_peer_that_verify_does_not_want_is_refused(authority):
    def verify(session: ssl.SSLObject) -> None:
        raise ValueError("not spiffe://mesh/greeter")

    server_tls = TlsSettings(server_context(cert=authority["server"]))
    async with serving(tls=server_tls) as (port, _, _):
        with pytest.raises(ConnectionFailed, match="not spiffe://mesh/greeter"):
            async with connected(port, tls=TlsSettings(client_context(ca=authority["ca"]), verify=verify)):
                pass


async def test_alpn_must_be_h2(authority):
    server_tls = TlsSettings(server_context(cert=authority["server"]))
    context = ssl.create_default_context(cafile=str(authority["ca"]))
    async with serving(tls=server_tls) as (port, _, _):
        with pytest.raises(ConnectionFailed, match="ALPN"):
            async with connected(port, tls=TlsSettings(context)):
                pass


async def test_permissive_takes_tls_and_plaintext(authority):
    server_tls = TlsSettings(server_context(cert=authority["server"]), permissive=True)
    client_tls = TlsSettings(client_context(ca=authority["ca"]))
    async with (
        serving(tls=server_tls) as (port, _, _),
        connected(port) as plain,
        connected(port, tls=client_tls) as secure,
    ):
        assert (await unary(plain).outcome()).status == 0
        assert (await unary(secure).outcome()).status == 0


async def test_plaintext_to_a_tls_port_is_dropped_quietly(authority):
    server_tls = TlsSettings(server_context(cert=authority["server"]))
    async with serving(tls=server_tls) as (port, _, server):
        peer = await h2.Peer.connect(port, greet=False)
        peer.send(h2.PREFACE + h2.settings())
        await peer.rest()
        await peer.close()
        await until(lambda: not server.statistics())


async def test_a_silent_client_is_dropped_after_the_handshake_timeout(authority):
    server_tls = TlsSettings(server_context(cert=authority["server"]))
    options = ServerOptions(handshake_timeout=0.1, limits=Limits())
    async with serving(options, tls=server_tls) as (port, _, server):
        peer = await h2.Peer.connect(port, greet=False)
        await asyncio.wait_for(peer.rest(), 30)
        await peer.close()
        await until(lambda: not server.statistics())


async def test_a_slow_reader_gets_the_last_byte_of_a_closing_server(monkeypatch):
    monkeypatch.setattr("meshkit.net.link._LINGER", 0.1)
    service = Service()
    server = Server(service.accept)
    peer = await h2.Peer.connect(await server.listen(), deaf=True)
    size = 24 << 20
    peer.send(h2.settings((4, 2**31 - 1)), h2.window_update(0, 2**31 - 1 - 65_535))
    peer.send(h2.headers(1, h2.request(b"/x/Big")), h2.data(1, h2.message(b"%d" % size), end=True))
    await until(lambda: service.handlers and service.handlers[0].stream.over)
    closing = asyncio.ensure_future(server.close(30.0))
    got = 0
    while (frame := await peer.next()) is not None:
        got += len(frame.payload) if frame.kind == h2.DATA else 0
        if frame.kind == h2.PING:
            peer.send(h2.frame(h2.PING, h2.ACK, 0, frame.payload))
    assert got == size + 5
    await closing
    await peer.close()


async def test_a_malformed_request_is_reset_and_said_once(caplog):
    async with serving() as (port, service, _):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, h2.request(b"/x/Echo", (b"Upper", b"case")), end=True))
        reset = await peer.until(h2.RST_STREAM, stream=1)
        assert int.from_bytes(reset.payload, "big") == 1  # PROTOCOL_ERROR
        assert service.handlers == []
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "stream 1: header name 'Upper' has a character that is not allowed" in record.getMessage()
        assert "127.0.0.1:" in record.getMessage()
        await peer.close()
