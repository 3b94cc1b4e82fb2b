"""The routes that a real istiod sent lead calls where its YAML says (fixtures/istio/input_config.yaml)."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from meshkit.route import RouteTable, find_virtual_host
from meshkit.xds.resources import DirectResponse, Redirect, RouteConfiguration
from meshkit.xds.routes import decode_routes
from tests.support.istio_captures import response

HOST = "reviews.demo.svc.cluster.local"


def configs(generator: str) -> list[RouteConfiguration]:
    return [decode_routes(resource.value) for resource in response(f"{generator}_rds").resources]


def table(generator: str, authority: str, port: int) -> RouteTable:
    """The routes of ``authority`` on ``port``, with chance made repeatable."""
    for config in configs(generator):
        if str(port) not in config.name.replace("|", ":").split(":"):
            continue
        host = find_virtual_host(config, authority)
        if host is not None and any(domain.startswith(authority) for domain in host.domains):
            return RouteTable(host, authority=authority, random=Random(7).random)
    raise AssertionError(f"{generator}: no virtual host of {authority}")


@pytest.fixture(params=["grpc", "sidecar"])
def reviews(request: pytest.FixtureRequest) -> RouteTable:
    return table(request.param, HOST, 9080)


def test_weights_split_what_no_rule_claims(reviews: RouteTable) -> None:
    decision = reviews.select("/any.Service/Method")
    assert decision is not None
    drawn = Counter(decision.cluster() for _ in range(10_000))
    assert set(drawn) == {f"outbound|9080|v1|{HOST}", f"outbound|9080|v2|{HOST}"}
    assert 870 < drawn[f"outbound|9080|v2|{HOST}"] < 1130


def test_paths_lead_to_rewrites_redirects_and_direct_answers(reviews: RouteTable) -> None:
    exact = reviews.select("/old")
    assert exact is not None
    assert exact.cluster() == f"outbound|9080||{HOST}"
    redirect, direct = reviews.select("/rx"), reviews.select("/direct/1")
    assert redirect is not None and isinstance(redirect.direct, Redirect)
    assert direct is not None and direct.direct == DirectResponse(503, "down")


def test_a_rule_with_query_parameters_never_claims_a_call(reviews: RouteTable) -> None:
    headers = {"x-env": "gray", "x-re": "acb", "x-pre": "px", "x-any": "1"}
    decision = reviews.select("/com.example.Greeter/Hi", headers)
    assert decision is not None
    assert decision.route.name != "canary"


@pytest.mark.parametrize("generator", ["grpc", "sidecar"])
def test_an_interface_is_a_host_like_any_other(generator: str) -> None:
    decision = table(generator, "com.example.greeter", 80).select("/com.example.Greeter/Hi")
    assert decision is not None
    assert decision.cluster() == f"outbound|9080||{HOST}"
