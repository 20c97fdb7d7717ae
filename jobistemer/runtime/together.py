"""What several processes that are supervised together have to say for themselves: each is asked at its socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobistemer.runtime.endpoint import Answer, ask, verdict
from jobistemer.runtime.vitals import Vitals

MOST_AT_ONCE = 32
_NOBODY = (FileNotFoundError, ConnectionRefusedError)


class Together:
    """A supervisor and its processes, `{"process 1": socket, …}`."""

    def __init__(self, sockets: Mapping[str, Path], supervisor: Vitals) -> None:
        self._sockets = sockets
        self._supervisor = supervisor
        self._askers = ThreadPoolExecutor(min(MOST_AT_ONCE, len(sockets)), "asking")

    def livez(self) -> Answer:
        """Whether all move. One that has ended, or is starting, is its supervisor's business."""
        told = self._reasons("/livez", nobody="")
        return verdict([*self._supervisor.stuck(), *told])

    def readyz(self) -> Answer:
        """Whether every process is ready."""
        return verdict(list(self._reasons("/readyz", nobody="it is not there yet")))

    def ask(self, page: str) -> list[tuple[str, Answer | OSError]]:
        """What each of them says."""
        said = self._askers.map(lambda path: _asked(path, page), self._sockets.values())
        return list(zip(self._sockets, said, strict=True))

    def _reasons(self, page: str, nobody: str) -> Iterator[str]:
        for name, answer in self.ask(page):
            if isinstance(answer, Answer):
                reasons = answer.body.decode().splitlines() if answer.status != 200 else []
            elif isinstance(answer, _NOBODY):
                reasons = [nobody] if nobody else []
            else:
                reasons = [f"it does not answer: {answer}"]
            yield from (f"{name}: {reason}" for reason in reasons)


def _asked(path: Path, page: str) -> Answer | OSError:
    try:
        return ask(path, page)
    except OSError as error:
        return error
