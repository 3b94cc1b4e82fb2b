"""One streaming call at its client, below the objects that users hold: what goes out and what comes in."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Generic

from meshkit.codec import DecodeError
from meshkit.errors import Internal, Unimplemented
from meshkit.metadata import EMPTY, Metadata, MetadataLike

from .attempts import MAX_REPLAY, Attempts
from .invocation import lenient_metadata
from .method import Method, Rep, Req
from .options import CallOptions, Timeout
from .pump import pump

if TYPE_CHECKING:
    from .caller import Caller

__all__ = ["Exchange"]


class Exchange(Attempts, Generic[Req, Rep]):
    """Sends requests and receives replies over the attempts of a call."""

    __slots__ = ("_replay_size",)

    method: Method[Req, Rep]

    def __init__(
        self,
        caller: Caller,
        method: Method[Req, Rep],
        timeout: Timeout = None,
        metadata: MetadataLike | None = None,
        options: CallOptions | None = None,
    ) -> None:
        super().__init__(caller, method, timeout, metadata, options)
        self._replay_size = 0

    async def send(self, message: Req) -> None:
        """Send a request, waiting while much is queued. Raises the call's error if it ended badly."""
        method = self.method
        if type(message) is not method.request:
            method.check_request(message)
        if self._ended_local:
            raise RuntimeError(f"send after end: the requests of {method.path} have been ended")
        data = method.encode_request(message)
        if self._replay is not None:
            self._keep(data)
        stream = self._stream
        if stream is None or not stream.send(data, compress=self.options.compression is not None):
            await self._room()
        if self._outcome is not None and self._inbox.error is not None:
            raise self._inbox.error

    def _keep(self, data: bytes) -> None:
        """Keep a request for another attempt, unless that makes them too large; then it can be sent only once."""
        assert self._replay is not None
        self._replay_size += len(data)
        self._replay.append(data)
        if self._replay_size > MAX_REPLAY and self._stream is not None:
            self._replay = None

    async def _room(self) -> None:
        """Wait while much is queued, or kept for an attempt that has not begun."""
        while self._outcome is None:
            stream = self._stream
            if self._replay_size <= MAX_REPLAY if stream is None else stream.writable:
                return
            await self._changed.wait()

    def give(self, message: Req) -> None:
        """Before `open`: the one request of a call that does not stream requests."""
        self.method.check_request(message)
        self._replay = [self.method.encode_request(message)]
        self._ended_local = True

    def feed(self, requests: AsyncIterable[Req] | Iterable[Req]) -> None:
        """Send all of ``requests``, in a task of the call."""
        self.start_task(pump(self, requests), "requests")

    def end(self) -> None:
        """No request follows."""
        if not self._ended_local:
            self._ended_local = True
            if self._stream is not None:
                self._stream.end()

    async def recv(self) -> Rep | None:
        """The next reply; None at a good end. Raises the error of a bad one."""
        if self._opening is None:
            await self.open()
        inbox = self._inbox
        queue = inbox.queue
        while not queue:
            if (more := inbox.more()) is None:
                return None
            await more
        data = queue.popleft()
        stream = self._stream
        if stream is not None:
            stream.acknowledge(len(data))
        try:
            return self.method.decode_reply(data)
        except DecodeError as error:
            failure = Internal(f"a reply of {self.method.path} does not decode: {error}")
            self.fail(failure)
            raise failure from error

    async def only_reply(self) -> Rep:
        """The reply of a call that streams requests only, once its status is known. Raises its error."""
        try:
            reply = await self.recv()
            if reply is None:
                raise Unimplemented(f"the server of {self.method.path} ended with OK and no reply")
            if await self.recv() is not None:
                raise Unimplemented(f"the server of {self.method.path} sent more than one reply")
        finally:
            self.cancel()
        return reply

    async def initial_metadata(self) -> Metadata:
        """What the server sent before its first reply; empty if it sent none before the end."""
        await self.open()
        while self._headers is None and self._outcome is None:
            await self._changed.wait()
        return lenient_metadata(self._headers) if self._headers else EMPTY

    def trailing_metadata(self) -> Metadata:
        """What the server sent with its status; empty until then."""
        return EMPTY if self._outcome is None else lenient_metadata(self._outcome.trailers)
