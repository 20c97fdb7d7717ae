"""The channel between a worker and a process beside it: frames of JSON on a socket. Nothing is ever pickled."""

from __future__ import annotations

import socket
from typing import Any, TypeVar

import msgspec

from jobistemer.core.endings import Outcome

MOST_BYTES = 8 * 1024 * 1024
"""A frame carries a payload or a result, each of 256 KiB at the most; what is longer is no frame."""
_LENGTH = 4


class Start(msgspec.Struct, frozen=True, tag=True):
    """To the process: what to import, and where from."""

    app: str
    path: list[str]


class Assignment(msgspec.Struct, frozen=True, tag=True):
    """To the process: call this handler.

    context: JSON of its Context, where it asks for one. supplied: JSON of the results that it asks for by name.
    """

    handler: str
    payload: msgspec.Raw
    context: msgspec.Raw = msgspec.Raw(b"null")
    supplied: dict[str, msgspec.Raw] = {}


class Ready(msgspec.Struct, frozen=True, tag=True):
    """From the process: the app is imported, or why it is not."""

    error: str = ""


class Done(msgspec.Struct, frozen=True, tag=True):
    """From the process: how the attempt ended, and what memory the process holds now."""

    outcome: Outcome
    memory_mib: float


class Closed(Exception):
    """The other side is gone, or what it sends is no frame."""


Frame = Start | Assignment | Ready | Done
F = TypeVar("F", Start, Assignment, Ready, Done)
_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_encoder = msgspec.json.Encoder()


class Channel:
    """One end; used by one thread at a time for each direction."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received = bytearray()

    def send(self, frame: Frame) -> None:
        """Send a frame. Raises Closed."""
        encoded = _encoder.encode(frame)
        self._socket.settimeout(None)
        try:
            self._socket.sendall(len(encoded).to_bytes(_LENGTH, "big") + encoded)
        except OSError as error:
            raise Closed(str(error)) from error

    def receive(self, kind: type[F], timeout: float | None = None) -> F | None:
        """The next frame, or None when it has not come within `timeout` seconds. Raises Closed."""
        while (frame := self._complete()) is None:
            self._socket.settimeout(timeout)
            try:
                more = self._socket.recv(65_536)
            except TimeoutError:
                return None
            except OSError as error:
                raise Closed(str(error)) from error
            if not more:
                raise Closed("the other side closed it")
            self._received += more
        if not isinstance(frame, kind):
            raise Closed(f"a {type(frame).__name__} came instead of a {kind.__name__}")
        return frame

    def close(self) -> None:
        """Close this end; the other one notices."""
        self._socket.close()

    def _complete(self) -> Any:
        size = int.from_bytes(self._received[:_LENGTH], "big")
        if size > MOST_BYTES:
            raise Closed(f"a frame of {size} bytes is none of ours")
        if len(self._received) < _LENGTH + size or len(self._received) < _LENGTH:
            return None
        encoded = bytes(self._received[_LENGTH : _LENGTH + size])
        del self._received[: _LENGTH + size]
        try:
            return _decoder.decode(encoded)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Closed(f"what came is no frame: {error}") from error
