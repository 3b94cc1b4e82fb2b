import asyncio
import socket

import pytest

from meshkit.net import system_resolver


async def test_the_system_gives_each_address_once():
    found = await system_resolver("localhost")
    assert len(found) == len(set(found))
    assert "127.0.0.1" in found or "::1" in found


async def test_an_address_is_its_own_answer():
    assert await system_resolver("127.0.0.9") == ["127.0.0.9"]


async def test_a_link_local_address_names_its_interface(monkeypatch):
    async def found(*args, **options):
        names = [("fe80::1", 0, 0, 3), ("fe80::2%lo", 0, 0, 1), ("::1", 0, 0, 0)]
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", name) for name in names]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    assert await system_resolver("here") == ["fe80::1%3", "fe80::2%lo", "::1"]


async def test_a_name_without_addresses_raises():
    with pytest.raises(OSError):
        await system_resolver("nothing.invalid")
