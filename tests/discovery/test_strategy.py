"""From an interface to a place."""

from __future__ import annotations

import pytest

from meshkit.discovery import DirectAddresses, DiscoveryOptions, HostPort, Unknown
from meshkit.discovery.strategy import StandardResources, StaticMap, make_strategies
from meshkit.errors import ConfigError


def test_standard_resources_are_the_lower_cased_interface_on_port_80() -> None:
    assert StandardResources().locate("helloworld.v1.Greeter") == HostPort("helloworld.v1.greeter", 80)


def test_static_map() -> None:
    places = StaticMap({"a.B": "b.default.svc:8080", "c.D": "static:127.0.0.1:1, [::1]:2,unix:/tmp/s"})
    assert places.locate("a.B") == HostPort("b.default.svc", 8080)
    assert places.locate("c.D") == DirectAddresses(("127.0.0.1:1", "[::1]:2", "unix:/tmp/s"))
    assert isinstance(places.locate("e.F"), Unknown)


@pytest.mark.parametrize("text", ["", "host", ":80", "host:0", "host:65536", "host:8_0", "host:" + 5_000 * "9"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert HostPort.parse(text) is None


def test_a_place_as_text() -> None:
    assert HostPort.parse("a.b:80") == HostPort("a.b", 80)
    assert str(HostPort("a.b", 80)) == "a.b:80"


def test_dubbos_group_and_version() -> None:
    assert StandardResources().locate("g/a.B:1.0") == HostPort("a.b", 80)
    places = StaticMap({"a.B": "plain:80", "g/a.B:1.0": "special:80"})
    assert places.locate("g/a.B:1.0") == HostPort("special", 80)
    assert places.locate("h/a.B") == places.locate("a.B") == HostPort("plain", 80)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":80", "host:http", "host:70000", "static:", "static:host", "static:a:b"]
)
def test_bad_entries_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.B"):
        StaticMap({"a.B": text})


def test_order_is_that_of_the_configuration() -> None:
    names = ("standard", "adsz", "static")
    assert tuple(strategy.name for strategy in make_strategies(DiscoveryOptions(strategies=names))) == names
    with pytest.raises(ConfigError, match="known are static, standard, adsz"):
        make_strategies(DiscoveryOptions(strategies=("dns",)))
