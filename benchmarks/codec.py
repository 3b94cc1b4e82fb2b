"""Messages and pushes: our codec beside betterproto2 and upb on the same bytes, in one process, rounds interleaved."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import process_time
from typing import Any

from meshkit.codec import Memo, codec_for
from meshkit.xds.assignments import decode_assignment
from tests.support.message_types import FieldSpec, Types, make_types

from .report import Row, at_least, at_most, figure
from .turns import over, plus, times, turns

__all__ = ["rows"]

Calls = dict[str, Callable[[], Any]]
_F = FieldSpec

SMALL = ((_F(1, "string"), _F(2, "int32")),)
NESTED = (
    (_F(1, "string"), _F(2, "M1", "repeated"), _F(3, "M2"), _F(4, "int32", "repeated"), _F(5, "string", "repeated")),
    (_F(1, "string"), _F(2, "int64"), _F(3, "enum"), _F(4, "M2"), _F(5, "double"), _F(6, "bool", "optional")),
    (_F(1, "string", "oneof"), _F(2, "int64", "oneof"), _F(3, "bytes"), _F(4, "M2", "repeated")),
)
MAPS = (
    (_F(1, "string", "map"), _F(2, "M1", "map"), _F(3, "int64", "map", "int32"), _F(4, "string")),
    (_F(1, "string", "oneof"), _F(2, "double", "oneof"), _F(3, "bool", "oneof"), _F(4, "M0", "oneof")),
)


def rows(quick: bool) -> list[Row]:
    """The codec rows of the cost table."""
    rounds = 5 if quick else 15
    return [
        *_small_rows(rounds),
        *_shape_rows("nested and repeated", make_types(NESTED), _fill_nested, rounds),
        *_shape_rows("map-heavy", make_types(MAPS), _fill_maps, rounds),
        *_endpoint_rows(rounds),
    ]


def _three(types: Types, message: Any) -> tuple[Calls, Calls]:
    """Encode and decode of one upb message's content by each of the three."""
    cls, upb = types.mine[0], types.upb[0]
    codec, data = codec_for(cls), message.SerializeToString()
    encode, decode = codec.encode, codec.decode
    mine = decode(data)
    encoders: Calls = {"us": lambda: encode(mine), "theirs": lambda: bytes(mine), "upb": message.SerializeToString}
    decoders: Calls = {
        "us": lambda: decode(data),
        "theirs": lambda: cls.parse(data),
        "upb": lambda: upb.FromString(data),
    }
    return encoders, decoders


def _small_rows(rounds: int) -> list[Row]:
    types = make_types(SMALL)
    encoders, decoders = _three(types, types.upb[0](f1="Ada Lovelace", f2=42))
    out, back = turns(encoders, rounds, 3000), turns(decoders, rounds, 3000)
    total = {name: plus(out[name], back[name]) for name in out}
    return [
        figure("small message, encode", times(out["us"], 1e6), "us"),
        figure("small message, decode", times(back["us"], 1e6), "us"),
        at_least("small message, encode + decode, betterproto2 / ours", over(total["theirs"], total["us"]), "x", 10),
        at_most("small message, encode + decode, ours / upb", over(total["us"], total["upb"]), "x", 5),
    ]


def _shape_rows(name: str, types: Types, fill: Callable[[Types], Any], rounds: int) -> list[Row]:
    encoders, decoders = _three(types, fill(types))
    out, back = turns(encoders, rounds, 5), turns(decoders, rounds, 5)
    return [
        at_least(f"{name}, encode, betterproto2 / ours", over(out["theirs"], out["us"]), "x", 10),
        at_least(f"{name}, decode, betterproto2 / ours", over(back["theirs"], back["us"]), "x", 10),
        figure(f"{name}, encode, ours / upb", over(out["us"], out["upb"]), "x"),
        figure(f"{name}, decode, ours / upb", over(back["us"], back["upb"]), "x"),
    ]


def _fill_nested(types: Types) -> Any:
    top, item, leaf = types.upb
    leaves = [leaf(f1=f"leaf {n}", f3=b"\0" * n, f4=[leaf(f2=n * 1000)]) for n in range(4)]
    items = [item(f1=f"item {n}", f2=n * 77, f3=n % 3, f4=leaves[n % 4], f5=n / 3, f6=bool(n % 2)) for n in range(50)]
    return top(f1="top", f2=items, f3=leaves[3], f4=range(0, 3000, 100), f5=[f"text {n}" for n in range(20)])


def _fill_maps(types: Types) -> Any:
    top, value = types.upb
    inner = top(f1={f"k{n}": f"v{n}" for n in range(3)})
    values = {f"field {n}": value(f1=f"text {n}") if n % 2 else value(f2=n) for n in range(20)}
    values["deep"] = value(f4=inner)
    return top(f1={f"label {n}": "x" * n for n in range(30)}, f2=values, f3={n: n << 20 for n in range(20)}, f4="name")


# -- endpoints -------------------------------------------------------------------------------------------------------


def endpoints(count: int, weight_of: dict[int, int] | None = None) -> bytes:
    """A ClusterLoadAssignment of ``count`` endpoints in three localities, as Istio sends it but for metadata."""
    from envoy.config.endpoint.v3 import endpoint_pb2

    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name="outbound|80||greeter.default.svc.cluster.local")
    groups = [assignment.endpoints.add() for _ in range(3)]
    for zone, group in enumerate(groups):
        group.locality.region, group.locality.zone = "europe", f"zone-{zone}"
        group.load_balancing_weight.value = count
    for number in range(count):
        endpoint = groups[number * 3 // count].lb_endpoints.add(health_status=1)
        address = endpoint.endpoint.address.socket_address
        address.address, address.port_value = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 8080
        endpoint.load_balancing_weight.value = (weight_of or {}).get(number, 1)
    data: bytes = assignment.SerializeToString()
    return data


def _endpoint_rows(rounds: int) -> list[Row]:
    from envoy.config.endpoint.v3 import endpoint_pb2

    data = endpoints(1000)
    figures = turns(
        {
            "us": lambda: _applied(data),
            "upb": lambda: _read_all(endpoint_pb2.ClusterLoadAssignment.FromString(data)),
        },
        rounds,
        3,
    )
    return [
        figure("1,000 endpoints to frozen values", times(figures["us"], 1e3), "ms"),
        at_most(
            "1,000 endpoints to frozen values, ours / upb parse and read", over(figures["us"], figures["upb"]), "x", 1.5
        ),
        at_most("10,000 endpoints decoded, CPU", times(_ten_thousand(rounds), 1e3), "ms", 200),
        at_most("10,000 endpoints, longest slice", times(_longest_slices(rounds), 1e3), "ms", 10),
        at_most("one endpoint changed among 10,000, decode", times(_one_changed(rounds), 1e3), "ms", 2),
    ]


def _applied(data: bytes, memo: Memo | None = None) -> Any:
    steps = decode_assignment(data, memo)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def _read_all(assignment: Any) -> list[Any]:
    """What a Python program does to use upb's message: read each field that our values hold."""
    out: list[Any] = []
    for group in assignment.endpoints:
        place = (group.locality.region, group.locality.zone, group.locality.sub_zone)
        for endpoint in group.lb_endpoints:
            address = endpoint.endpoint.address.socket_address
            weight = endpoint.load_balancing_weight.value if endpoint.HasField("load_balancing_weight") else 1
            metadata = endpoint.metadata if endpoint.HasField("metadata") else None
            out.append((place, f"{address.address}:{address.port_value}", weight, endpoint.health_status, metadata))
    return out


def _ten_thousand(rounds: int) -> list[float]:
    data = endpoints(10_000)
    return turns({"us": lambda: _applied(data, Memo())}, rounds, 1)["us"]


def _longest_slices(rounds: int) -> list[float]:
    data = endpoints(10_000)
    return [max(_slices(data)) for _ in range(rounds)]


def _slices(data: bytes) -> list[float]:
    steps, spent = decode_assignment(data, Memo()), list[float]()
    while True:
        start = process_time()
        try:
            next(steps)
        except StopIteration:
            return [*spent, process_time() - start]
        spent.append(process_time() - start)


def _one_changed(rounds: int) -> list[float]:
    """Each round changes the weight of another endpoint, back and forth."""
    random, memo = Random(1), Memo()
    plain = endpoints(10_000)
    _applied(plain, memo)
    spent: list[float] = []
    for _ in range(rounds):
        changed = endpoints(10_000, {random.randrange(10_000): 7})
        for data in (changed, plain):
            start = process_time()
            _applied(data, memo)
            spent.append(process_time() - start)
    return spent
