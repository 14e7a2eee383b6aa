"""The server's end of one SPDY/3.1 connection: the streams that a client opens on it.

SPDY as the Kubernetes clients speak it has no flow control. So bytes that nobody has taken yet are counted
over all streams of the connection, and when they are too many nothing more is read from it: the client waits.
Other streams of the same connection wait with it, as with the kubelet. Output goes through one short queue
and one task that writes: whoever fills it waits, and may be cancelled at any time without harm to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType

from minikubelet.api.streams import spdy
from minikubelet.api.streams.upgrade import SILENCE, Line, Nudge

log = logging.getLogger(__name__)

BUFFER_LIMIT = 256 << 10  # bytes received on all streams together that nobody has taken
QUEUE_LIMIT = 8  # frames to be sent
PIECE = 32 << 10  # bytes of a data frame that we send
OUR_PING = 2  # even: of the server
LINGER = 2.0  # seconds for a client to close the connection, when all is said and taken


class StreamReset(ConnectionResetError):
    """The stream, or its whole connection, was given up by the client."""


class Stream:
    """One stream. `headers` are those it was opened with."""

    def __init__(self, session: Session, stream_id: int, headers: Mapping[str, str], ended: bool) -> None:
        self.id = stream_id
        self.headers = headers
        self._session = session
        self._received: deque[bytes] = deque()
        self._size = 0
        self._ended = ended  # the client sends no more
        self._finished = False  # nor do we
        self._reset = False
        self._discarding = False
        self._changed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """In both directions."""
        return self._reset or (self._ended and self._finished)

    async def read(self) -> bytes:
        """What came next; empty once the client has ended its half. Raises StreamReset."""
        while not self._received and not self._ended and not self._reset:
            self._changed.clear()
            await self._changed.wait()
        if self._reset:
            raise StreamReset("the client has given up the stream")
        if not self._received:
            return b""
        data = self._received.popleft()
        self._take(len(data))
        return data

    async def write(self, data: bytes) -> None:
        """Waits until there is room for it. Raises StreamReset."""
        for start in range(0, len(data), PIECE):
            await self._send(spdy.data(self.id, data[start : start + PIECE]))

    async def finish(self) -> None:
        """End our half, once."""
        if not self._finished and not self._reset:
            await self._send(spdy.data(self.id, b"", fin=True))
            self._finished = True
            self._session.forget_closed(self)

    async def reset(self, status: int = spdy.CANCEL) -> None:
        """Give up both halves."""
        if not self.closed:
            self.give_up()
            await self._session.send(spdy.rst_stream(self.id, status))

    def discard(self) -> None:
        """Nobody will read: what came and what still comes is dropped."""
        self._discarding = True
        self._received.clear()
        self._take(self._size)

    async def _send(self, frame: bytes) -> None:
        if self._reset or self._finished:
            raise StreamReset("the client has given up the stream")
        await self._session.send(frame)

    # From the session

    def receive(self, data: bytes, fin: bool) -> None:
        if self._ended or self._reset:
            return
        if data and not self._discarding:
            self._received.append(data)
            self._size += len(data)
            self._session.buffered += len(data)
        self._ended = fin
        self._changed.set()
        if fin:
            self._session.forget_closed(self)

    def give_up(self) -> None:
        self._reset = True
        self.discard()
        self._changed.set()
        self._session.forget_closed(self)

    def _take(self, size: int) -> None:
        self._size -= size
        self._session.took(size)


class Session:
    """One connection, served as long as this context lasts.

    `accept` is told of every stream the client opens; it may refuse by an answer (a status of RST_STREAM).
    """

    def __init__(self, line: Line, accept: Callable[[Stream], int | None], stream_limit: int) -> None:
        self.buffered = 0
        self._line, self._accept, self._stream_limit = line, accept, stream_limit
        self._decoder, self._encoder = spdy.Decoder(), spdy.Encoder()
        self._streams: dict[int, Stream] = {}
        self._last_id = 0
        self._pinged = False
        self._room = asyncio.Event()
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_LIMIT)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Session:
        for story, name in ((self._read_in(), "spdy input"), (self._write_out(), "spdy output")):
            task = asyncio.create_task(story, name=name)
            task.add_done_callback(lambda _: self._give_up_all())
            self._tasks.append(task)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Whoever opened us is known to us and knows us: zlib's memory is not left to the garbage collector.
        del self._decoder, self._encoder

    async def wait_closed(self) -> None:
        """Returns when the client has gone, or has said what makes no sense."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def finish(self) -> None:
        """All was said: see it off, however slowly the client takes it, and let the client close.

        (A socket closed with something unread resets the connection, and the client may lose our last words.)
        """
        for stream in list(self._streams.values()):
            stream.discard()
        await self.send(spdy.goaway(self._last_id))
        written = asyncio.create_task(self._outgoing.join(), name="spdy last words")
        try:
            await asyncio.wait((written, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            written.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self.wait_closed()

    async def send(self, frame: bytes) -> None:
        """Into the queue, when there is room. Raises StreamReset when the client has gone."""
        if any(task.done() for task in self._tasks):
            raise StreamReset("the client has left")
        await self._outgoing.put(frame)

    # For streams

    def took(self, size: int) -> None:
        self.buffered -= size
        if self.buffered < BUFFER_LIMIT:
            self._room.set()

    def forget_closed(self, stream: Stream) -> None:
        if stream.closed:
            self._streams.pop(stream.id, None)

    # The two directions

    async def _write_out(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self._line.write(await self._outgoing.get())
                self._outgoing.task_done()

    async def _read_in(self) -> None:
        """Until the end of the connection, of its sense, or of its signs of life."""
        try:
            while data := await self._receive():
                for frame in self._decoder.feed(data):
                    await self._act(frame)
                if self.buffered >= BUFFER_LIMIT:
                    await self._wait_for_room()
        except (spdy.SpdyError, ConnectionError, TimeoutError) as error:
            log.debug("a SPDY connection ends: %s", error)

    async def _wait_for_room(self) -> None:
        with Nudge(lambda: self.send(spdy.ping(OUR_PING)), self._outgoing.empty):
            while self.buffered >= BUFFER_LIMIT:
                self._room.clear()
                await self._room.wait()

    async def _receive(self) -> bytes:
        """A client that pings does so all the time: when it falls silent it is gone."""
        async with asyncio.timeout(SILENCE if self._pinged else None):
            return await self._line.read()

    async def _act(self, frame: spdy.Frame) -> None:
        match frame:
            case spdy.Data():
                stream = self._streams.get(frame.stream_id)
                if stream is not None:
                    stream.receive(frame.data, frame.fin)
                elif frame.stream_id > self._last_id:
                    raise spdy.SpdyError(f"data on stream {frame.stream_id}, which was never opened")
            case spdy.SynStream():
                await self._open(frame)
            case spdy.RstStream():
                stream = self._streams.get(frame.stream_id)
                if stream is not None:
                    stream.give_up()
            case spdy.Ping():
                if frame.ping_id != OUR_PING:
                    self._pinged = True
                    await self.send(spdy.ping(frame.ping_id))

    async def _open(self, frame: spdy.SynStream) -> None:
        if frame.stream_id <= self._last_id or frame.stream_id % 2 == 0:
            raise spdy.SpdyError(f"stream {frame.stream_id} after stream {self._last_id}")
        self._last_id = frame.stream_id
        stream = Stream(self, frame.stream_id, frame.headers, frame.fin)
        refusal: int | None = spdy.REFUSED_STREAM
        if len(self._streams) < self._stream_limit:
            refusal = self._accept(stream)
        if refusal is not None:
            await self.send(spdy.rst_stream(stream.id, refusal))
            return
        self._streams[stream.id] = stream
        await self.send(self._encoder.syn_reply(stream.id))

    def _give_up_all(self) -> None:
        for stream in list(self._streams.values()):
            stream.give_up()
