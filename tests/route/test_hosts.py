from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.route import find_virtual_host
from meshkit.xds.resources import RouteConfiguration, VirtualHost


def config(*domain_lists: tuple[str, ...]) -> RouteConfiguration:
    hosts = tuple(VirtualHost(f"vh{number}", domains, ()) for number, domains in enumerate(domain_lists))
    return RouteConfiguration("rc", hosts)


def chosen(authority: str, *domain_lists: tuple[str, ...]) -> str | None:
    host = find_virtual_host(config(*domain_lists), authority)
    return None if host is None else host.name


def test_exact_beats_suffix_beats_prefix_beats_star() -> None:
    domains = [("*",), ("greeter.*",), ("*.svc",), ("greeter.default.svc",)]
    assert chosen("greeter.default.svc", *domains) == "vh3"
    assert chosen("greeter.default.svc", *domains[:3]) == "vh2"
    assert chosen("greeter.default.svc", *domains[:2]) == "vh1"
    assert chosen("greeter.default.svc", *domains[:1]) == "vh0"


def test_longest_wildcard_wins_whatever_the_order() -> None:
    assert chosen("a.b.svc", ("*.svc",), ("*.b.svc",)) == "vh1"
    assert chosen("a.b.svc", ("*.b.svc",), ("*.svc",)) == "vh0"
    assert chosen("a.b.svc", ("a.*",), ("a.b.*",)) == "vh1"


def test_first_of_equals_wins() -> None:
    assert chosen("x", ("*",), ("*",)) == "vh0"


@pytest.mark.parametrize(
    ("domain", "authority", "fits"),
    [
        ("Greeter.Default", "greeter.default", True),
        ("greeter.default", "GREETER.default", True),
        ("greeter", "greeter:80", False),
        ("greeter:80", "greeter:80", True),
        ("*-bar.foo.com", "baz-bar.foo.com", True),
        ("*-bar.foo.com", "-bar.foo.com", False),
        ("foo.*", "foo.", False),
        ("foo.*", "foo.com", True),
        ("foo.*", "fo", False),
        ("*", "", True),
    ],
)
def test_a_domain_fits(domain: str, authority: str, fits: bool) -> None:
    assert chosen(authority, (domain,)) == ("vh0" if fits else None)


@pytest.mark.parametrize(
    ("authority", "host"),
    [("greeter:80", "greeter"), ("greeter", "greeter"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")],
)
def test_a_port_is_ignored_on_demand(authority: str, host: str) -> None:
    without = replace(config((host,)), ignore_port=True)
    assert find_virtual_host(without, authority) is not None
    assert find_virtual_host(replace(config((f"{host}:80",)), ignore_port=True), authority) is None


def test_nothing_fits() -> None:
    assert chosen("a", ("b",), ("*.c", "d.*")) is None
    assert chosen("a") is None


NAMES = st.text("ab.", max_size=4)
DOMAINS = st.one_of(NAMES, NAMES.map("*".__add__), NAMES.map(lambda name: name + "*"), st.just("*"))


@given(st.lists(st.lists(DOMAINS, max_size=3).map(tuple), max_size=5), NAMES)
def test_agrees_with_a_search_kind_by_kind(domain_lists: list[tuple[str, ...]], authority: str) -> None:
    def exact(domain: str) -> bool:
        return domain == authority and domain != "*"

    def suffix(domain: str) -> bool:
        return domain[:1] == "*" != domain and len(authority) >= len(domain) and authority.endswith(domain[1:])

    def star(domain: str) -> bool:
        return domain == "*"

    def prefix(domain: str) -> bool:
        return domain[-1:] == "*" != domain and len(authority) >= len(domain) and authority.startswith(domain[:-1])

    flat = [(domain, f"vh{number}") for number, domains in enumerate(domain_lists) for domain in domains]
    expected = None
    for fits in (exact, suffix, prefix, star):
        found = [pair for pair in flat if fits(pair[0])]
        if found:
            expected = max(found, key=lambda pair: len(pair[0]))[1]
            break
    assert chosen(authority, *domain_lists) == expected
