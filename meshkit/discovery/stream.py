"""The one ADS stream: a coroutine that keeps it open for as long as somebody wants something from it.

Its position is its state: waiting for something to say, connecting, streaming, or waiting to try again. A stream that
brought at least one response and ends is normal (Istio ends each after half an hour) and is replaced at once; one that
brought nothing is a failure and is tried again after a growing, jittered delay (gRFC A57). What was received stays in
force meanwhile, and the machine asks for everything again on the next stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import random

from meshkit.codec import DecodeError
from meshkit.errors import ConfigError, RpcError
from meshkit.metadata import MetadataLike
from meshkit.net import Backoff, ClientOptions
from meshkit.observe.log import event_logger
from meshkit.rpc import BidiStream, CallOptions, Channel, Method
from meshkit.tasks import Scope
from meshkit.xds import TYPES, AdsMachine, Node, ResourceType, Verdict, decode_updates, prepare, prepare_rules

from .credentials import read_token
from .options import DiscoveryOptions
from .refusal import next_step
from .slicing import Slicer

__all__ = ["AdsStream", "StreamStatistics"]

_LOG = event_logger("meshkit.discovery")
_UNLIMITED = 2**31 - 1  # a push of all clusters of a big mesh is tens of MB
_SETTLED = 1.0  # seconds after which the first calls are made
_KEEPALIVE = 30.0  # Istio takes pings that are 15 s apart or more


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """The stream in figures. ``streams``: those that brought a response. ``slices`` and ``longest_slice`` (seconds):
    how the work on pushes was cut up."""

    address: str
    connected: bool
    streams: int
    requests: int
    responses: int
    bytes: int
    nacks: int
    last_error: str
    slices: int
    longest_slice: float


class AdsStream:
    """Keeps ``machine`` connected to the control plane. ``node`` is asked for at the start of every stream."""

    def __init__(
        self,
        options: DiscoveryOptions,
        machine: AdsMachine,
        node: Callable[[], Node],
        on_change: Callable[[Verdict], None],
        on_sent: Callable[[], None],
    ) -> None:
        self._options = options
        self._machine = machine
        self._node = node
        self._on_change = on_change
        self._on_sent = on_sent
        self._variant = options.variant
        self._method = Method(self._variant.path, bytes, bytes, client_streaming=True, server_streaming=True)
        self.slicer = Slicer(options.pause_after)
        self._backoff = Backoff(options.backoff, random)
        self._wake = asyncio.Event()
        self._stream: BidiStream[bytes, bytes] | None = None
        self._reopening = False
        self._short = False  # the last good stream did not live long either
        self._unknown: set[str] = set()
        self._complained = ""
        self._token = ""  # what the last stream was opened with
        self._reported: dict[ResourceType, str] = {}
        self.node: Node | None = None
        self.answered = False
        self._streams = self._requests = self._responses = self._bytes = 0
        self.error = ""

    def __repr__(self) -> str:
        return f"AdsStream({self._options.address}, {'connected' if self.answered else 'not connected'})"

    def poke(self) -> None:
        """The machine has something to send."""
        self._wake.set()

    def reopen(self) -> None:
        """End the stream and start another at once: the node changed, and it is read at the start only."""
        if self._stream is not None:
            self._reopening = True
            self._stream.cancel()

    def statistics(self) -> StreamStatistics:
        """A frozen view."""
        return StreamStatistics(
            address=self._options.address,
            connected=self.answered,
            streams=self._streams,
            requests=self._requests,
            responses=self._responses,
            bytes=self._bytes,
            nacks=sum(self._machine.state(kind).nacks for kind in TYPES),
            last_error=self.error,
            slices=self.slicer.slices,
            longest_slice=self.slicer.longest,
        )

    async def run(self) -> None:
        """Keep a stream open, for ever."""
        clock = self._options.clock
        while True:
            await self._wake.wait()
            started = clock.now()
            async with Channel(self._options.address, options=_client_options(), tls=self._options.tls) as channel:
                answered = await self._one_stream(channel)
                while self._reopening:
                    answered = await self._one_stream(channel)
            self._wake.set()
            await clock.sleep(self._delay(answered, clock.now() - started))

    def _delay(self, answered: bool, lived: float) -> float:
        """At once after a good stream; a server that ends every stream soon is not hammered."""
        short = lived < self._options.backoff.initial
        if answered and not (short and self._short):
            self._short = short
            self._backoff.reset()
            return 0.0
        return self._backoff.next()

    async def _one_stream(self, channel: Channel) -> bool:
        """One stream from its start to its end, whatever that is; True if it brought a response or ended on purpose."""
        self._reopening = False
        try:
            metadata = self._metadata()
            async with BidiStream(channel, self._method, None, None, metadata, _CALL_OPTIONS) as stream:
                self._stream = stream
                await self._talk(stream)
                self.error = "the control plane ended the stream"
        except (RpcError, ConfigError, OSError) as error:
            self._failed(error)
        except Exception as error:  # a bug: said with all there is, and no reason to stay without a stream for ever
            self.error = repr(error)
            _LOG.error("ADS stream broke", address=self._options.address, exc_info=error)
            self.answered = False
        finally:
            self._machine.closed()
            self._stream = None
            answered, self.answered = self.answered, False
        return answered

    def _failed(self, error: Exception) -> None:
        if self._reopening:
            return
        step = next_step(error, self._options, self._token)
        self.error = f"{error}; {step}" if step else str(error)
        if self.answered:
            _LOG.debug("ADS stream ended", address=self._options.address, error=str(error))
        elif self._complained != (step or self.error):  # once for as long as it fails in the same way
            self._complained = step or self.error
            _LOG.warning("control plane not reached", address=self._options.address, error=self.error)

    def _metadata(self) -> MetadataLike | None:
        if self._options.token_file is None:
            return None
        self._token = read_token(self._options.token_file)
        return {"authorization": f"Bearer {self._token}", "clusterid": self._options.identity.cluster_id}

    async def _talk(self, stream: BidiStream[bytes, bytes]) -> None:
        self.node = self._node()
        self._machine.opened()
        self._wake.set()
        async with Scope("ads") as scope:
            scope.start(self._send(stream, self.node), name="send")
            await self.slicer.run(prepare())
            scope.start(self._prepare_rules(), name="prepare")
            while (data := await stream.recv()) is not None:
                await self._receive(data)
                self._wake.set()

    async def _prepare_rules(self) -> None:
        await self._options.clock.sleep(_SETTLED)
        await self.slicer.run(prepare_rules())

    async def _send(self, stream: BidiStream[bytes, bytes], node: Node) -> None:
        """Send what the machine has to say whenever it is poked; what comes up in one turn goes out as one request."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for request in self._machine.requests():
                self._requests += 1
                try:
                    await stream.send(self._variant.encode(request, node))
                except RpcError:
                    return  # the stream is over, which whoever receives from it hears too
            self._on_sent()

    async def _receive(self, data: bytes) -> None:
        """Take in one response. The next one is not read before this one is published (ADS flow control, gRFC A27)."""
        self._responses += 1
        self._bytes += len(data)
        self._streams += not self.answered
        self.answered = True
        self.error = self._complained = ""
        try:
            response = self._variant.decode(data)
        except DecodeError as error:  # nothing in it can be trusted, not even a nonce to NACK
            _LOG.warning("ADS response cannot be decoded", address=self._options.address, error=str(error))
            return
        verdict = self._machine.receive(response, await self.slicer.run(decode_updates(response, self._machine)))
        self._report(response.type_url, verdict)
        self._on_change(verdict)

    def _report(self, type_url: str, verdict: Verdict) -> None:
        """Each unknown type once; the reasons of a NACK once for as long as they stay the same."""
        if verdict.kind is None:
            if type_url not in self._unknown:
                self._unknown.add(type_url)
                _LOG.warning("response of a type that was not asked for", address=self._options.address, type=type_url)
            return
        reasons = "; ".join(verdict.reasons)
        if reasons and reasons != self._reported.get(verdict.kind):
            _LOG.warning("resources refused", address=self._options.address, type=verdict.kind.name, reasons=reasons)
        self._reported[verdict.kind] = reasons


_CALL_OPTIONS = CallOptions(max_receive=_UNLIMITED, propagate_deadline=False, propagate_trace=False)


def _client_options() -> ClientOptions:
    return ClientOptions(keepalive_time=_KEEPALIVE)
