"""The channel between a worker and a process beside it: frames of MessagePack on a socket. Nothing is ever pickled."""

from __future__ import annotations

import select
import socket
import threading
from typing import TypeVar

import msgspec

from jobistemer.worker.process.protocol import Frame

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""A frame carries a payload or a result, and sizes of an app end at 64 MiB; what is longer is no frame."""
_LENGTH = 4

F = TypeVar("F")
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
_encoder = msgspec.msgpack.Encoder()


class ChannelClosed(Exception):
    """The other side is gone, or what it sends is no frame."""


class Channel:
    """One end. Any thread may send; one at a time receives."""

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
        """The next frame, or None when it has not come within `timeout` seconds. Raises ChannelClosed."""
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
        """The next frame, which has to be of this kind. Raises ChannelClosed."""
        frame = self.receive(timeout)
        if frame is not None and not isinstance(frame, kind):
            raise ChannelClosed(f"a {type(frame).__name__} came instead of a {kind.__name__}")
        return frame

    def close(self) -> None:
        """Close this end; the other one notices."""
        self._socket.close()

    def _take_frame(self) -> Frame | None:
        size = int.from_bytes(self._buffer[:_LENGTH], "big")
        if size > MAX_FRAME_BYTES:
            raise ChannelClosed(f"a frame of {size} bytes is none of ours")
        if len(self._buffer) < _LENGTH + size or len(self._buffer) < _LENGTH:
            return None
        encoded = bytes(self._buffer[_LENGTH : _LENGTH + size])
        del self._buffer[: _LENGTH + size]
        try:
            return _decoder.decode(encoded)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ChannelClosed(f"what came is no frame: {error}") from error


def _wait_readable(end: socket.socket, timeout: float) -> bool:
    # Not by a time-out of the socket, which would hold for what another thread sends meanwhile as well.
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
