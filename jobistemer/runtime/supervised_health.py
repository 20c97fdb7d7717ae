"""Health of processes that are supervised together: the supervisor asks each at its socket and answers for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.http_pages import Page, Response, health_response
from jobistemer.runtime.liveness import Liveness

MAX_AT_ONCE = 32
_OK = 200
_NOT_LISTENING = (FileNotFoundError, ConnectionRefusedError)


class SupervisedHealth:
    """A supervisor and its processes, `{"process 1": socket, …}`."""

    def __init__(self, sockets: Mapping[str, Path], supervisor: Liveness) -> None:
        self._sockets = sockets
        self._supervisor = supervisor
        self._executor = ThreadPoolExecutor(min(MAX_AT_ONCE, len(sockets)), "health check")

    def livez(self) -> Response:
        """Answer whether every process moves.

        A process that has ended or is starting counts as alive: its supervisor replaces it, and a restart of the
        supervisor, which a failed probe causes, would end the others.
        """
        reasons = self._find_reasons("/livez", when_not_listening="")
        return health_response([*self._supervisor.stuck_threads(), *reasons])

    def readyz(self) -> Response:
        """Answer whether every process is ready."""
        return health_response(list(self._find_reasons("/readyz", when_not_listening="it is not there yet")))

    def create_metrics_page(self) -> Page:
        """Return the page with the metrics of all processes. Raises Misconfigured when prometheus_client is missing."""
        try:
            from jobistemer.runtime.metrics_merger import merge_pages  # noqa: PLC0415 - needs an extra
        except ModuleNotFoundError as error:
            raise Misconfigured(f"--metrics: {error}; install it: pip install 'jobistemer[prometheus]'") from error
        return lambda: merge_pages(
            (name.rpartition(" ")[2], answer.body.decode())
            for name, answer in self._fetch_all("/metrics")
            if isinstance(answer, Response) and answer.status == _OK
        )

    def _fetch_all(self, page: str) -> list[tuple[str, Response | OSError]]:
        answers = self._executor.map(lambda path: _try_fetch(path, page), self._sockets.values())
        return list(zip(self._sockets, answers, strict=True))

    def _find_reasons(self, page: str, when_not_listening: str) -> Iterator[str]:
        for name, answer in self._fetch_all(page):
            if isinstance(answer, Response):
                reasons = answer.body.decode().splitlines() if answer.status != _OK else []
            elif isinstance(answer, _NOT_LISTENING):
                reasons = [when_not_listening] if when_not_listening else []
            else:
                reasons = [f"it does not answer: {answer}"]
            yield from (f"{name}: {reason}" for reason in reasons)


def _try_fetch(path: Path, page: str) -> Response | OSError:
    from jobistemer.runtime.http_endpoint import fetch_page  # noqa: PLC0415 - as in `cli.health_options`

    try:
        return fetch_page(path, page)
    except OSError as error:
        return error
