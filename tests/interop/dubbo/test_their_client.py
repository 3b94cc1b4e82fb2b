"""Dubbo's own clients call our server."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshkit.rpc import Call, Context, Health, HealthCheckRequest, HealthCheckResponse, Server, dubbo
from meshkit.tasks import Scope
from tests.support.dubbo_greeter import NO_GREETING, Greeter
from tests.support.dubbo_peers import GO31, GO33, JAVA, Said, each, every_kind, go_client, java_client
from tests.support.tap import tapped
from tests.support.waiting import until

pytestmark = pytest.mark.interop


@asynccontextmanager
async def served(*servicers: Any, **options: Any) -> AsyncIterator[str]:
    """A server of ours; its address."""
    server = Server(servicers, **options)
    port = await server.listen()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.close()


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    """What dubbo-java's client says after its round of calls: the JVM takes seconds to start, so it does so once."""

    async def round_of_calls() -> Said:
        async with served(Greeter()) as address:
            names = ("x", "meta", "not-found", "plain-error", "details")
            return await java_client(tmp_path_factory.mktemp("java"), address, *names)

    logging.disable(logging.CRITICAL)  # the handler that fails is meant to
    yield asyncio.run(round_of_calls())
    logging.disable(logging.NOTSET)


def lines(said: Said, kind: str) -> list[str]:
    """What dubbo-java's client says of a kind of call."""
    prefix = f"RESULT {kind} "
    return [line.removeprefix(prefix) for line in said.text.splitlines() if line.startswith(prefix)]


def of_name(java: Said, name: str) -> str:
    """What came of its first unary call that greets ``name``."""
    return next(line for line in lines(java, "unary") if line.startswith(f"{name} ")).removeprefix(f"{name} ")


ANSWERS = {"unary": ["x"], "server": ["x"] * 3, "client": ["x,x,x"], "bidi": ["x"] * 3}
JAVAS = {"server": ["x"] * 3, "client": ["n0,n1,n2"], "bidi": ["n0", "n1", "n2"]}


@every_kind()
async def test_every_kind_of_call(peer: str, kind: str, java: Said) -> None:
    if peer != JAVA:
        async with served(Greeter()) as address:
            said = await go_client(peer, address, "-kind", kind)
            assert list(said.results.elements()) == [f"v1: hello {name}" for name in ANSWERS[kind]]
    elif kind == "unary":
        assert of_name(java, "x").startswith("-> v1: hello x ")
    else:
        assert lines(java, kind) == [*(f"v1: hello {name}" for name in JAVAS[kind]), "done"]


@each("Triple: attachments both ways")
async def test_attachments_arrive_as_metadata(peer: str, java: Said) -> None:
    if peer == JAVA:
        metadata = json.loads(of_name(java, "meta").removeprefix("-> ").partition(" attachments ")[0])
        assert (
            metadata["tri-header-convert"] == "%7B%22my-attach%22%3A%22My-Attach%22%7D"
        )  # the spelling that was given
        assert metadata["my-attach"] == "v1"
        return
    async with served(Greeter()) as address:
        said = await go_client(peer, address, "-name", "meta", "-a", "user=ada", "-a", "My-Attach=v1")
        metadata = {name.lower(): value for name, value in json.loads(said.result).items()}
        assert (metadata["user"], metadata["my-attach"]) == ("ada", "v1")
        assert metadata["interface"] == "api.Greeter"
        if peer == GO33:
            assert metadata["retries"] == ""


@each("Triple: attachments both ways", GO33, JAVA)
async def test_metadata_of_the_answer(peer: str, tmp_path: Path) -> None:
    async with served(Greeter()) as address:
        if peer == JAVA:
            said = await java_client(tmp_path, address, "trailer")
            assert of_name(said, "trailer").endswith(" attachments {resp-trailer=t1}")  # it shows no initial metadata
        else:
            said = await go_client(peer, address, "-name", "trailer")
            assert "Resp-Header:[h1]" in said.text
            assert "Resp-Trailer:[t1]" in said.text


@pytest.mark.parametrize("serialization", ["", "json"])
@each("Triple unary by plain HTTP, protobuf and JSON", GO33)
async def test_plain_http(peer: str, serialization: str) -> None:
    """dubbo-go's ``WithTriple``: Triple's own protocol, which is not gRPC, over HTTP/1.1."""
    pair = dubbo.service(Greeter("green"), group="green", version="2.0")
    async with served(Greeter(), pair, json=True) as address:

        async def said(*arguments: str) -> Said:
            return await go_client(peer, address, "-kind", "triple", "-serialization", serialization, *arguments)

        assert (await said()).result == "v1: hello x"
        assert (await said("-group", "green", "-version", "2.0")).result == "green: hello x"
        metadata = json.loads((await said("-name", "meta", "-a", "user=ada")).result)
        assert metadata == {"user": "ada"}
        answer = await said("-name", "trailer")
        assert "Resp-Header:[h1]" in answer.text and "TRAILER map[Resp-Trailer:[t1]]" in answer.text
        assert (await said("-name", "not-found")).result.startswith(f"ERR code=not_found not_found: {NO_GREETING}")
        assert (await said("-name", "limit")).result == "deadline"
        assert (await said("-name", "sleep:5s", "-timeout", "300ms")).result.startswith("ERR code=deadline_exceeded")
        assert len((await said("-name", "big:3000000")).result) == 3_000_000


@pytest.mark.parametrize("kind", ["unary", "bidi"])
async def test_json_in_grpc_is_named(kind: str) -> None:
    async with served(Greeter()) as address:
        said = await go_client(GO33, address, "-kind", kind, "-serialization", "json")
        assert "does not decode as protobuf, but is application/grpc+json" in said.result


ERRORS = {
    (GO33, "not-found"): f"ERR code=not_found not_found: {NO_GREETING}",
    (GO33, "details"): "ERR code=failed_precondition failed_precondition: precond",
    (GO33, "plain-error"): "ERR code=unknown unknown: the handler failed, incident ",
    (GO31, "not-found"): f"ERR code=NotFound {NO_GREETING}",
    (GO31, "details"): "ERR code=FailedPrecondition precond",
    (GO31, "plain-error"): "ERR code=Unknown the handler failed, incident ",
}


@each("Triple: errors as they read them")
@pytest.mark.parametrize("name", ["not-found", "details", "plain-error"])
async def test_errors(peer: str, name: str, java: Said) -> None:
    if peer == JAVA:
        text = {"not-found": f"NOT_FOUND : {NO_GREETING}", "details": "FAILED_PRECONDITION : precond"}
        assert text.get(name, "UNKNOWN : the handler failed, incident ") in of_name(java, name)
        assert lines(java, "server-err") == [f"ERR status NOT_FOUND NOT_FOUND : {NO_GREETING}"]
        return
    async with served(Greeter()) as address:
        for kind in ("unary", "server", "bidi"):
            said = await go_client(peer, address, "-name", name, "-kind", kind)
            assert said.result.startswith(ERRORS[peer, name])


@each("Triple: deadline and cancellation")
@pytest.mark.parametrize("name", ["sleep:60s", "early:60s"])
async def test_deadlines(peer: str, name: str, tmp_path: Path) -> None:
    """A caller with dubbo-go 3.3 that has seen headers when the deadline passes is not told why its call ended. So
    headers wait for the first message; a handler may send them early, and then this is what its callers see."""
    greeter = Greeter()
    async with served(greeter) as address:
        if peer == JAVA:
            said = await java_client(tmp_path, address, "x", name, timeout=5000)  # a first call may be a slow one
            assert re.search("DEADLINE_EXCEEDED|Timeout after 5000ms", of_name(said, name))  # ours, or its own
        else:
            said = await go_client(peer, address, "-name", name, "-timeout", "5s")
            early = peer == GO33 and name.startswith("early")
            wanted = "incomplete envelope" if early else {GO33: "deadline_exceeded", GO31: "DeadlineExceeded"}[peer]
            assert wanted in said.result
        await asyncio.wait_for(greeter.cancelled.wait(), 60)


@each("Triple: deadline and cancellation", GO33, GO31)
async def test_their_streams_have_no_deadline(peer: str) -> None:
    async with served(Greeter()) as address:
        for kind, limit in (("unary", "deadline"), ("server", "no deadline"), ("bidi", "no deadline")):
            assert set((await go_client(peer, address, "-name", "limit", "-kind", kind)).results) == {limit}


@each("Triple: messages of megabytes")
async def test_large_messages(peer: str, tmp_path: Path) -> None:
    async with served(Greeter()) as address:
        name = "big:3000000"
        if peer == JAVA:
            said = await java_client(tmp_path, address, name)
            assert of_name(said, name).count("b") >= 3_000_000
            return
        for kind in ("unary", "server", "bidi"):
            said = await go_client(peer, address, "-name", name, "-kind", kind)
            assert set(said.results) == {"b" * 3_000_000}
        said = await go_client(peer, address, "-name", "x" * 100_000, "-kind", "client")
        assert len(said.result) == len("v1: hello ,,") + 300_000


@each("Triple: many calls on one connection")
async def test_many_calls(peer: str, tmp_path: Path) -> None:
    async with served(Greeter()) as address:
        if peer == JAVA:
            said = await java_client(tmp_path, address, *["x"] * 200)
            assert len([line for line in lines(said, "unary") if line.startswith("x -> v1: hello x ")]) == 200
        else:
            for kind, answer in (("unary", "x"), ("client", "x,x,x")):
                said = await go_client(peer, address, "-n", "200", "-kind", kind)
                assert said.results == {f"v1: hello {answer}": 200}


@each("Triple: connection kept through silence", GO33)
async def test_a_ping_after_ten_silent_seconds(peer: str) -> None:
    """dubbo-go pings a connection after ten seconds of silence, which grpc-go's servers by default answer by hanging
    up. Nothing else passes than the ping and its answer, of 17 bytes each."""
    async with served(Greeter()) as address, tapped(address) as tap:
        client = asyncio.create_task(go_client(peer, tap.address, "-linger", "16s"))
        up = down = 0

        async def silent() -> bool:
            nonlocal up, down
            up, down = tap.up, tap.down
            await asyncio.sleep(3)
            return bool(down) and (tap.up, tap.down) == (up, down)

        await until(silent)
        assert (await client).result == "v1: hello x"
        assert (tap.up - up, tap.down - down) == (17, 17)


# Group, version and health.


class Watched(Health):
    """Remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: list[str] = []

    def watch(self, request: HealthCheckRequest, ctx: Context, /) -> AsyncIterator[HealthCheckResponse]:
        self.watched.append(request.service)
        return super().watch(request, ctx)


def variants() -> list[Any]:
    return [
        Greeter("plain"),
        dubbo.service(Greeter("g 1.0"), group="g", version="1.0"),
        dubbo.service(Greeter("2.0"), version="2.0"),
    ]


PAIRS = [("", "", "plain"), ("g", "1.0", "g 1.0"), ("", "2.0", "2.0")]


@each("Triple: group and version")
@pytest.mark.parametrize(("group", "version", "name"), PAIRS)
async def test_callers_reach_their_pair(peer: str, group: str, version: str, name: str, tmp_path: Path) -> None:
    async with served(*variants()) as address:
        if peer == JAVA:
            said = await java_client(tmp_path, address, "x", group=group, version=version)
            assert of_name(said, "x").startswith(f"-> {name}: hello x ")
            assert lines(said, "bidi")[0] == f"{name}: hello n0"
            return
        for kind in ANSWERS:
            said = await go_client(peer, address, "-kind", kind, "-group", group, "-version", version)
            assert set(said.results) == {f"{name}: hello {ANSWERS[kind][0]}"}


@each("Triple: group and version")
async def test_another_pair_is_unimplemented(peer: str, tmp_path: Path) -> None:
    async with served(*variants()) as address:
        if peer == JAVA:
            said = await java_client(tmp_path, address, "x", group="g", version="2.0")
            assert "UNIMPLEMENTED : g/api.Greeter:2.0 is not served here" in of_name(said, "x")
        else:
            said = await go_client(peer, address, "-group", "g", "-version", "2.0")
            assert "nimplemented" in said.result
            assert "g/api.Greeter:2.0 is not served here" in said.result


@each("Triple: health by service key", GO33)
@pytest.mark.parametrize(("group", "version", "key"), [("", "", "api.Greeter"), ("g", "1.0", "g/api.Greeter:1.0")])
async def test_the_key_they_watch_is_known(peer: str, group: str, version: str, key: str) -> None:
    health = Watched()
    async with served(*variants(), health=health) as address:
        assert f"'{key}': SERVING" in repr(health)
        # It watches beside its calls: a client that ends with them may be gone before it has asked.
        async with Scope("a client that stays") as scope:
            scope.start(go_client(peer, address, "-group", group, "-version", version, "-linger", "120s"))
            await until(lambda: health.watched)
        assert set(health.watched) == {key}


@each("Triple: answers are compressed where the caller asks")
async def test_compressed_answers(peer: str, tmp_path: Path) -> None:
    accepted: list[str] = []

    async def compress(call: Call, proceed: Any) -> Any:
        assert call.context is not None
        accepted.append(call.context.header(b"grpc-accept-encoding") or "")
        call.context.compression = "gzip"
        return await proceed(call)

    async with served(Greeter(), interceptors=[compress], health=False) as address:
        if peer == JAVA:
            said = await java_client(tmp_path, address, "x" * 1000)
            assert of_name(said, "x" * 1000).startswith(f"-> v1: hello {'x' * 1000} ")
        else:
            said = await go_client(peer, address, "-name", "x" * 1000)
            assert said.result == f"v1: hello {'x' * 1000}"
    assert accepted[0] == {GO33: "gzip", GO31: "", JAVA: "gzip,snappy"}[peer]
