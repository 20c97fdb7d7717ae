"""The channel between a worker and a handler process: frames of MessagePack on a socket.

Nothing is pickled, since to unpickle what a handler process sends would let it run code in the worker.
"""

from __future__ import annotations

import select
import socket
import threading
from typing import TypeVar

import msgspec

from jobistemer.worker.process.protocol import Frame

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""A frame carries a payload or a result, and an app may set their limits up to 64 MiB; more bytes are no frame."""
_LENGTH = 4

F = TypeVar("F")
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
_encoder = msgspec.msgpack.Encoder()


class ChannelClosed(Exception):
    """The other side has closed the channel, or has sent bytes that are no frame."""


class Channel:
    """One end of the channel. Any thread may send; only one thread at a time may receive."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = bytearray()
        self._send_lock = threading.Lock()

    def send(self, frame: Frame) -> None:
        """Send a frame. Raises ChannelClosed."""
        encoded = _encoder.encode(frame)
        with self._send_lock:
            try:
                self._socket.sendall(len(encoded).to_bytes(_LENGTH, "big") + encoded)
            except OSError as error:
                raise ChannelClosed(str(error)) from error

    def receive(self, timeout: float | None = None) -> Frame | None:
        """Return the next frame, or None when none has come within `timeout` seconds. Raises ChannelClosed."""
        while (frame := self._take_frame()) is None:
            try:
                if timeout is not None and not _wait_readable(self._socket, timeout):
                    return None
                more = self._socket.recv(65_536)
            except (OSError, ValueError) as error:
                raise ChannelClosed(str(error)) from error
            if not more:
                raise ChannelClosed("the other side closed it")
            self._buffer += more
        return frame

    def expect(self, kind: type[F], timeout: float | None = None) -> F | None:
        """Return the next frame, or None as `receive` does. Raises ChannelClosed, also when it is of another kind."""
        frame = self.receive(timeout)
        if frame is not None and not isinstance(frame, kind):
            raise ChannelClosed(f"a {type(frame).__name__} came instead of a {kind.__name__}")
        return frame

    def close(self) -> None:
        """Close this end; the other side then gets ChannelClosed."""
        self._socket.close()

    def _take_frame(self) -> Frame | None:
        size = int.from_bytes(self._buffer[:_LENGTH], "big")
        if size > MAX_FRAME_BYTES:
            raise ChannelClosed(f"a frame of {size} bytes is too long")
        if len(self._buffer) < _LENGTH + size or len(self._buffer) < _LENGTH:
            return None
        encoded = bytes(self._buffer[_LENGTH : _LENGTH + size])
        del self._buffer[: _LENGTH + size]
        try:
            return _decoder.decode(encoded)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ChannelClosed(f"the bytes received are no frame: {error}") from error


def _wait_readable(end: socket.socket, timeout: float) -> bool:
    # A time-out of the socket would apply to the threads that send meanwhile too.
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
