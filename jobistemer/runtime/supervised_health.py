"""What several processes that are supervised together have to say for themselves: each is asked at its socket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobistemer.runtime.http_endpoint import TEXT, Answer, ask, verdict
from jobistemer.runtime.liveness import Vitals

MOST_AT_ONCE = 32
_OK = 200
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

    def metrics(self) -> Answer:
        """What all of them measure, each sample with the number of its process."""
        answers = [(name.rpartition(" ")[2], said) for name, said in self.ask("/metrics")]
        told = [(number, said) for number, said in answers if isinstance(said, Answer) and said.status == _OK]
        kind = told[0][1].kind if told else TEXT
        return Answer(_OK, merged([(number, said.body.decode()) for number, said in told]).encode(), kind)

    def ask(self, page: str) -> list[tuple[str, Answer | OSError]]:
        """What each of them says."""
        said = self._askers.map(lambda path: _asked(path, page), self._sockets.values())
        return list(zip(self._sockets, said, strict=True))

    def _reasons(self, page: str, nobody: str) -> Iterator[str]:
        for name, answer in self.ask(page):
            if isinstance(answer, Answer):
                reasons = answer.body.decode().splitlines() if answer.status != _OK else []
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


def merged(pages: Iterable[tuple[str, str]]) -> str:
    """Pages of several processes in Prometheus's text form as one: each metric once, with a label `process`."""
    metrics: dict[str, tuple[list[str], list[str]]] = {}
    for number, text in pages:
        head, samples = metrics.setdefault("", ([], []))
        for line in filter(None, text.split("\n")):
            if line.startswith("# HELP "):
                head, samples = metrics.setdefault(line.split(" ", 3)[2], ([], []))
            _add(line, number, head, samples)
    return "".join(f"{line}\n" for head, samples in metrics.values() for line in (*head, *samples))


def _add(line: str, number: str, head: list[str], samples: list[str]) -> None:
    if not line.startswith("#"):
        samples.append(_labelled(line, number))
    elif line not in head:
        head.append(line)


def _labelled(sample: str, number: str) -> str:
    name, mark, rest = re.split(r"([{ ])", sample, maxsplit=1)
    return f'{name}{{process="{number}",{rest}' if mark == "{" else f'{name}{{process="{number}"}}{mark}{rest}'
