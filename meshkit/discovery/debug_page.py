"""istiod's debug page of its clients: where it is, and how to get it, by the standard library (pilot/pkg/xds/debug.go).

This runs in a thread of its own, a few times an hour at most, so it has no part in our own engine.
"""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meshkit.errors import ConfigError

from .options import DiscoveryOptions

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

__all__ = ["REACH", "DebugSource", "PageFailed", "debug_source", "fetch_pages", "read_pages"]

_PAGE = "/debug/adsz"
_PORT = 15014  # of istiod's Service; its pods also have the page on 8080
_ISTIOD_PORTS = ("15010", "15012")
_LIMIT = 64 << 20  # bytes; a client of the mesh takes some KB of the page
_PATIENCE = 5.0  # seconds without a byte
_WHOLE = 10.0  # seconds for all of it
_PUBLISH = "or publish interfaces by VirtualService: meshkit k8s mapping"
_NEXT = {
    401: f"it wants a service-account token (MESHKIT_TOKEN_FILE); {_PUBLISH}",
    403: "istiod shows the page to its own namespace only: name this one in its "
    f"DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES, or set its ENABLE_DEBUG_ENDPOINT_AUTH=false, {_PUBLISH}",
}
REACH = f"check MESHKIT_DEBUG_URL, and ENABLE_DEBUG_ON_HTTP of istiod, {_PUBLISH}"


class PageFailed(Exception):
    """The page was not given; why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class DebugSource:
    """Where the page is."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The same as text."""
        return f"http{'s' * self.secure}://{self.host}:{self.port}{self.path}"


def debug_source(options: DiscoveryOptions) -> DebugSource:
    """The page's place: as configured, or where istiod's own ports lead. Raises ConfigError where there is none."""
    url = options.debug_url
    host, _, port = options.address.rpartition(":")
    if not url and port in _ISTIOD_PORTS:
        url = f"http://{host}:{_PORT}"
    parts = urlsplit(url)
    try:
        number = _PORT if parts.port is None else parts.port
    except ValueError:
        number = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or number == 0:
        raise ConfigError(
            f"strategy adsz cannot read debug_url={url!r} (MESHKIT_DEBUG_URL); expected http://HOST:PORT of istiod, "
            "whose port is 15014"
        )
    return DebugSource(parts.scheme == "https", parts.hostname, number, parts.path.rstrip("/") or _PAGE)


async def fetch_pages(source: DebugSource, headers: dict[str, str]) -> list[str]:
    """`read_pages` in a thread that nobody waits for: an end of the loop, or of the process, waits for the threads of
    `asyncio.to_thread`, however long a page hangs."""
    pages: Future[list[str]] = Future()

    def read() -> None:
        try:
            pages.set_result(read_pages(source, headers))
        except BaseException as error:
            pages.set_exception(error)

    pages.set_running_or_notify_cancel()  # who waits may go; the thread ends by itself
    Thread(target=read, name="meshkit-debug-page", daemon=True).start()
    return await asyncio.wrap_future(pages)


def read_pages(source: DebugSource, headers: dict[str, str]) -> list[str]:
    """The page of each address of the host: each istiod knows its own clients only. One that cannot be reached has
    none. Raises PageFailed if all are like that, or if any gives something else."""
    pages: list[str] = []
    failure = ""
    for host in _hosts(source):
        try:
            pages.append(_get(source, host, headers))
        except OSError as error:
            failure = str(error) or type(error).__name__
    if not pages:
        raise PageFailed(f"{failure}; {REACH}")
    return pages


def _hosts(source: DebugSource) -> list[str]:
    """The addresses of a headless Service; a certificate is of the name, so with TLS there is one."""
    if source.secure:
        return [source.host]
    try:
        found = socket.getaddrinfo(source.host, source.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PageFailed(f"{source.host}: {error.strerror or error}; {REACH}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _get(source: DebugSource, host: str, headers: dict[str, str]) -> str:
    """The page of one istiod. No redirects: a token goes to nobody else. Raises OSError if it cannot be reached."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    kind = HTTPSConnection if source.secure else HTTPConnection
    connection = kind(host, source.port, timeout=_PATIENCE)
    connection.connect()
    try:
        return _answer(connection, source, headers)
    except (OSError, HTTPException) as error:
        raise PageFailed(f"{str(error) or type(error).__name__}; {REACH}") from None
    finally:
        connection.close()


def _answer(connection: HTTPConnection, source: DebugSource, headers: dict[str, str]) -> str:
    connection.request("GET", source.path, headers={"Host": f"{source.host}:{source.port}", **headers})
    with connection.getresponse() as response:  # it holds the socket, whoever closes the connection
        text = _read(response)
    if response.status != 200:
        said = text[:200].strip().partition("\n")[0]
        raise PageFailed(f"{response.status} {said or response.reason}; {_NEXT.get(response.status, REACH)}")
    return text


def _read(response: HTTPResponse) -> str:
    parts: list[bytes] = []
    size, end = 0, time.monotonic() + _WHOLE
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > _LIMIT or time.monotonic() > end:
            raise PageFailed(f"it is longer than {_LIMIT >> 20} MB or takes more than {_WHOLE:g} s, {_PUBLISH}")
    return b"".join(parts).decode("utf-8", "replace")
