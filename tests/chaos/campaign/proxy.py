"""A proxy in front of a server that cuts connections in the middle of replies: the caller cannot know what was done."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress


class CuttingProxy:
    """Forwards both ways. While `cutting`, a reply in `one_in` is cut behind a random byte, with its connection."""

    def __init__(self, port: int, seed: int, one_in: int = 40) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._one_in = one_in
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cutting = threading.Event()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as server:
            threading.Thread(target=self._forward, args=(caller, server), daemon=True).start()
            while reply := server.recv(65_536):
                if self.cutting.is_set() and not self._chance.randrange(self._one_in):
                    self.cuts += 1
                    caller.sendall(reply[: self._chance.randrange(len(reply))])
                    # Closing alone would wait for the other thread, which reads from the caller.
                    caller.shutdown(socket.SHUT_RDWR)
                    return
                caller.sendall(reply)

    def _forward(self, caller: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while request := caller.recv(65_536):
                server.sendall(request)
            server.shutdown(socket.SHUT_WR)
