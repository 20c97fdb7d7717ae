"""What several processes that are supervised together have to say for themselves: each is asked at its socket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobistemer.runtime.http_endpoint import TEXT, Response, fetch_page, health_response
from jobistemer.runtime.liveness import Liveness

MAX_AT_ONCE = 32
_OK = 200
_NOT_LISTENING = (FileNotFoundError, ConnectionRefusedError)


class SupervisedHealth:
    """A supervisor and its processes, `{"process 1": socket, …}`."""

    def __init__(self, sockets: Mapping[str, Path], supervisor: Liveness) -> None:
        self._sockets = sockets
        self._supervisor = supervisor
        self._executor = ThreadPoolExecutor(min(MAX_AT_ONCE, len(sockets)), "asking")

    def livez(self) -> Response:
        """Whether all move. One that has ended, or is starting, is its supervisor's business."""
        reasons = self._reasons("/livez", nobody="")
        return health_response([*self._supervisor.stuck_threads(), *reasons])

    def readyz(self) -> Response:
        """Whether every process is ready."""
        return health_response(list(self._reasons("/readyz", nobody="it is not there yet")))

    def metrics(self) -> Response:
        """What all of them measure, each sample with the number of its process."""
        answers = [(name.rpartition(" ")[2], answer) for name, answer in self.fetch("/metrics")]
        answered = [
            (number, answer) for number, answer in answers if isinstance(answer, Response) and answer.status == _OK
        ]
        content_type = answered[0][1].content_type if answered else TEXT
        return Response(
            _OK, merge_metrics([(number, answer.body.decode()) for number, answer in answered]).encode(), content_type
        )

    def fetch(self, page: str) -> list[tuple[str, Response | OSError]]:
        """What each of them says."""
        answers = self._executor.map(lambda path: _try_fetch(path, page), self._sockets.values())
        return list(zip(self._sockets, answers, strict=True))

    def _reasons(self, page: str, nobody: str) -> Iterator[str]:
        for name, answer in self.fetch(page):
            if isinstance(answer, Response):
                reasons = answer.body.decode().splitlines() if answer.status != _OK else []
            elif isinstance(answer, _NOT_LISTENING):
                reasons = [nobody] if nobody else []
            else:
                reasons = [f"it does not answer: {answer}"]
            yield from (f"{name}: {reason}" for reason in reasons)


def _try_fetch(path: Path, page: str) -> Response | OSError:
    try:
        return fetch_page(path, page)
    except OSError as error:
        return error


def merge_metrics(pages: Iterable[tuple[str, str]]) -> str:
    """Pages of several processes in Prometheus's text form as one: each metric once, with a label `process`."""
    metrics: dict[str, tuple[list[str], list[str]]] = {}
    for number, text in pages:
        head, samples = metrics.setdefault("", ([], []))
        for line in filter(None, text.split("\n")):
            if line.startswith("# HELP "):
                head, samples = metrics.setdefault(line.split(" ", 3)[2], ([], []))
            _add_line(line, number, head, samples)
    return "".join(f"{line}\n" for head, samples in metrics.values() for line in (*head, *samples))


def _add_line(line: str, number: str, head: list[str], samples: list[str]) -> None:
    if not line.startswith("#"):
        samples.append(_add_label(line, number))
    elif line not in head:
        head.append(line)


def _add_label(sample: str, number: str) -> str:
    name, mark, rest = re.split(r"([{ ])", sample, maxsplit=1)
    return f'{name}{{process="{number}",{rest}' if mark == "{" else f'{name}{{process="{number}"}}{mark}{rest}'
