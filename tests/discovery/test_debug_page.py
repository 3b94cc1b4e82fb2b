"""Where istiod's debug page is, and what can go wrong with getting it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from meshkit.discovery import DiscoveryOptions, debug_page
from meshkit.discovery.debug_page import DebugSource, PageFailed, debug_source, read_pages
from meshkit.errors import ConfigError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@contextmanager
def answering(*parts: bytes, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A server that answers one request with ``parts`` and closes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted:
                accepted.recv(1 << 16)
                for part in parts:
                    accepted.sendall(part)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join(5)


def source(port: int, host: str = "127.0.0.1") -> DebugSource:
    return DebugSource(False, host, port, "/debug/adsz")


@pytest.mark.parametrize("url", ["", "istiod:15014", "http://", "http://a:x", "http://a:0", "file:///etc/passwd"])
def test_a_url_that_cannot_be_used_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=r"MESHKIT_DEBUG_URL.*expected http://HOST:PORT"):
        debug_source(DiscoveryOptions("unix:/run/xds", debug_url=url))


def test_the_page_is_on_the_monitoring_port_of_istiod() -> None:
    found = debug_source(DiscoveryOptions("istiod.istio-system.svc:15012"))
    assert found.url == "http://istiod.istio-system.svc:15014/debug/adsz"
    assert debug_source(DiscoveryOptions(debug_url="https://a/other/")).url == "https://a:15014/other"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", HEAD + b"half", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000])
def test_an_answer_that_is_no_page_fails_in_one_way(answer: bytes) -> None:
    with answering(answer) as port:
        if answer.endswith(b"half"):
            assert read_pages(source(port), {}) == ["half"]  # what is cut is found by who takes it apart
        else:
            with pytest.raises(PageFailed, match="check MESHKIT_DEBUG_URL"):
                read_pages(source(port), {})


def test_a_page_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug_page, "_LIMIT", 100_000)
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n" + b"x" * 150_000
    with answering(big) as port, pytest.raises(PageFailed, match="longer than"):
        read_pages(source(port), {})


def test_a_name_that_does_not_exist_is_said() -> None:
    with pytest.raises(PageFailed, match=r"nowhere\.invalid: .*check MESHKIT_DEBUG_URL"):
        read_pages(source(1, "nowhere.invalid"), {})


def test_every_istiod_behind_a_name_is_asked_and_one_that_is_down_knows_nobody() -> None:
    page = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    addresses = sorted({str(found[4][0]) for found in socket.getaddrinfo("localhost", 1)})
    with ExitStack() as stack:
        port = stack.enter_context(answering(page + addresses[0].encode(), address=addresses[0]))
        for address in addresses[1:]:
            stack.enter_context(answering(page + address.encode(), address=address, port=port))
        assert sorted(read_pages(source(port, "localhost"), {})) == addresses
    with answering(page + b"one") as port:
        assert read_pages(source(port, "localhost"), {}) == ["one"]
