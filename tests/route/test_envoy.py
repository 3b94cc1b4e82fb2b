"""The same virtual hosts and calls given to a real Envoy and to route tables: both must choose the same routes."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

from meshkit.metadata import Metadata
from meshkit.route import RouteTable
from meshkit.xds.resources import (
    Fraction,
    HeaderMatch,
    PathMatch,
    QueryParameterMatch,
    Route,
    RouteAction,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)
from tests.support.envoy import running_envoy

EXACT, PREFIX, SUFFIX, CONTAINS, REGEX = StringMatch
PATTERNS = ("/a.*", "/[ab]+", ".*", "/(a|b)/?", "a|b", "[0-9]+", "a+")
HOSTS, CALLS = 300, 8


class Draw:
    """Random hosts and calls out of a small alphabet, so that matches are common."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def flag(self) -> bool:
        return self.random.random() < 0.4

    def text(self, alphabet: str, shortest: int, longest: int) -> str:
        return "".join(self.random.choices(alphabet, k=self.random.randint(shortest, longest)))

    def path(self) -> PathMatch:
        kind = self.random.choice((EXACT, PREFIX, PREFIX, REGEX))
        if kind is REGEX:
            return PathMatch(REGEX, self.random.choice(PATTERNS))
        if kind is PREFIX and self.flag():
            return PathMatch(PREFIX, "/" + self.text("abA", 1, 2), not self.flag(), separated=True)
        return PathMatch(kind, "/" + self.text("abA/", 0, 2), not self.flag())

    def value(self) -> str:
        return self.random.choice(
            (self.text("abA,", 1, 2), str(self.random.randint(-12, 12)), "", "+5", "-007", "1_0", "/a")
        )

    def header(self) -> HeaderMatch:
        name = self.random.choice(
            ("h", "h", "h", "user", "content-type", "host", ":method", ":authority", ":scheme", ":path")
        )
        return replace(self.condition(name), invert=self.flag(), treat_missing_as_empty=self.flag())

    def condition(self, name: str) -> HeaderMatch:
        kind = self.random.choice((EXACT, PREFIX, SUFFIX, CONTAINS, REGEX, "present", "range"))
        if kind == "present":
            return HeaderMatch(name, present=not self.flag())
        if kind == "range":
            return HeaderMatch(name, range=(self.random.randint(-10, 2), self.random.randint(0, 12)))
        if kind is REGEX:
            return HeaderMatch(name, string=REGEX, value=self.random.choice(PATTERNS))
        value = self.value() or ("" if kind is EXACT else "a")
        return HeaderMatch(name, string=StringMatch(kind), value=value, ignore_case=self.flag())

    def route(self, name: str) -> Route:
        return Route(
            self.path(),
            RouteAction((WeightedCluster("c", 1),)),
            name=name,
            headers=tuple(self.header() for _ in range(self.random.choice((0, 1, 1, 2)))),
            query=(QueryParameterMatch("q"),) if self.random.random() < 0.1 else (),
            fraction=self.random.choice((None, None, None, Fraction(0), Fraction(1_000_000))),
        )

    def host(self, number: int) -> VirtualHost:
        routes = tuple(self.route(f"r{index}") for index in range(self.random.randint(1, 6)))
        return VirtualHost(f"host{number}", (f"host{number}",), routes)

    def call(self) -> tuple[str, list[tuple[str, str]]]:
        names = self.random.choices(("h", "user", "other"), k=self.random.randint(0, 3))
        return "/" + self.text("abA/", 0, 3), [(name, self.value()) for name in names]


def header_json(match: HeaderMatch) -> dict[str, Any]:
    json: dict[str, Any] = {"name": match.name, "invert_match": match.invert}
    json["treat_missing_header_as_empty"] = match.treat_missing_as_empty
    if match.present is not None:
        return {**json, "present_match": match.present}
    if match.range is not None:
        return {**json, "range_match": {"start": match.range[0], "end": match.range[1]}}
    if match.string is REGEX:
        return {**json, "string_match": {"safe_regex": {"regex": match.value}}}
    assert match.string is not None
    return {**json, "string_match": {match.string.value: match.value, "ignore_case": match.ignore_case}}


def route_json(route: Route) -> dict[str, Any]:
    path = route.path
    kinds: dict[StringMatch, dict[str, Any]] = {
        EXACT: {"path": path.value},
        PREFIX: {"path_separated_prefix" if path.separated else "prefix": path.value},
        REGEX: {"safe_regex": {"regex": path.value}},
    }
    match: dict[str, Any] = {**kinds[path.kind], "headers": [header_json(header) for header in route.headers]}
    if path.kind is not REGEX:
        match["case_sensitive"] = path.case_sensitive
    if route.query:
        match["query_parameters"] = [{"name": one.name, "present_match": True} for one in route.query]
    if route.fraction is not None:
        share = {"numerator": route.fraction.numerator, "denominator": "MILLION"}
        match["runtime_fraction"] = {"default_value": share}
    return {
        "match": match,
        "direct_response": {"status": 200},
        "response_headers_to_add": [{"header": {"key": "x-route", "value": route.name}}],
    }


def bootstrap(hosts: list[VirtualHost]) -> dict[str, Any]:
    virtual_hosts = [
        {"name": host.name, "domains": list(host.domains), "routes": [route_json(route) for route in host.routes]}
        for host in hosts
    ]
    prefix = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{prefix}.http.router.v3.Router"}}
    manager = {
        "@type": f"{prefix}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {"name": "rc", "virtual_hosts": virtual_hosts},
        "http_filters": [router],
    }
    chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listener = {"name": "in", "address": address, "filter_chains": [chain]}
    # From 1.39 on Envoy looks at the values of a repeated header one by one; gRPC still joins them, and so do we.
    joined = {"name": "static", "static_layer": {"envoy.reloadable_features.match_headers_individually": False}}
    return {"static_resources": {"listeners": [listener]}, "layered_runtime": {"layers": [joined]}}


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str, headers: list[tuple[str, str]]
) -> str | None:
    """The name of the route that Envoy chooses for a gRPC call."""
    fields = [("host", host), ("content-type", "application/grpc"), ("content-length", "0"), *headers]
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    writer.write("\r\n".join(lines).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    answer = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await reader.readexactly(int(answer.get("content-length", "0")))
    return answer.get("x-route")


async def test_agrees_with_envoy() -> None:
    draw = Draw(20)
    hosts = [draw.host(number) for number in range(HOSTS)]
    chosen = 0
    async with running_envoy(bootstrap(hosts)) as envoy:
        reader, writer = await asyncio.open_connection("127.0.0.1", envoy.ports["in"])
        for host in hosts:
            table = RouteTable(host, authority=host.name)
            for path, headers in (draw.call() for _ in range(CALLS)):
                decision = table.select(path, Metadata(headers))
                expected = await ask(reader, writer, host.name, path, headers)
                assert (None if decision is None else decision.route.name) == expected, (host, path, headers)
                chosen += expected is not None
        writer.close()
    assert chosen > HOSTS * CALLS / 4  # the test is about something
