import pytest

from meshkit.errors import ConfigError
from meshkit.net.address import Address, is_ip, join_host_port, parse_address, peer_text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("greeter.default:80", Address("greeter.default:80", "greeter.default", 80)),
        ("127.0.0.1:50051", Address("127.0.0.1:50051", "127.0.0.1", 50051)),
        ("[::1]:50051", Address("[::1]:50051", "::1", 50051)),
        ("unix:/run/a.sock", Address("unix:/run/a.sock", path="/run/a.sock")),
        ("unix:///run/a.sock", Address("unix:///run/a.sock", path="/run/a.sock")),
        ("unix:a.sock", Address("unix:a.sock", path="a.sock")),
        ("unix-abstract:a", Address("unix-abstract:a", path="\0a")),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "greeter", "greeter:", ":80", "a:http", "a:65536", "::1:80", "a:-1"])
def test_what_is_no_address_says_so(text):
    with pytest.raises(ConfigError, match="host:port"):
        parse_address(text)


def test_authority():
    assert parse_address("a:80").authority == b"a:80"
    assert parse_address("unix:/a").authority == b"localhost"


def test_peers_as_text():
    assert peer_text(("127.0.0.1", 1)) == "127.0.0.1:1"
    assert peer_text(("::1", 1, 0, 0)) == "[::1]:1"
    assert peer_text("/run/a") == "unix:/run/a"
    assert peer_text("") == peer_text(None) == "unix:"
    assert peer_text(b"\0a") == "unix-abstract:a"


@pytest.mark.parametrize(("host", "text"), [("10.0.0.1", "10.0.0.1:80"), ("::1", "[::1]:80"), ("a.b", "a.b:80")])
def test_a_host_and_a_port_are_joined(host, text):
    assert join_host_port(host, 80) == text
    assert parse_address(text).host == host


@pytest.mark.parametrize(
    ("host", "expected"), [("10.0.0.1", True), ("::1", True), ("fe80::1%lo", True), ("a.b", False), ("", False)]
)
def test_an_ip_address_is_told_from_a_name(host, expected):
    assert is_ip(host) is expected
