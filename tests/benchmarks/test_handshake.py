"""What the relay reads off a handshake is what the client's own library says of it."""

import ssl
from pathlib import Path

import pytest

from benchmarks.handshake import server_hello
from benchmarks.tls import certify
from meshkit.net import client_context, server_context

_NAMES = {
    ("TLSv1.3", "TLS_AES_256_GCM_SHA384"): "TLS 1.3, AES-256-GCM, X25519",
    ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"): "TLS 1.2, ECDHE-ECDSA-AES-256-GCM",
}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_was_agreed(tmp_path: Path, version: ssl.TLSVersion) -> None:
    certify(tmp_path)
    client_side = client_context(ca=tmp_path / "ca.pem")
    client_side.maximum_version = version
    server_side = server_context(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    heard = b""
    while True:
        over = _step(client)
        _step(server)
        if over:
            break
        said = to_client.read()
        heard += said
        to_client.write(said)
    cipher = client.cipher()
    assert cipher is not None
    assert server_hello(heard) == _NAMES[client.version() or "", cipher[0]]


def _step(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
