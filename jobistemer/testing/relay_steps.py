"""The relays of an app under test: they send between the attempts of an instant what was stored by then."""

from __future__ import annotations

from collections.abc import Iterator

from jobistemer.app import Jobistemer
from jobistemer.testing.system import System
from jobistemer.worker.attempts.attempt import Attempt


class RelaySteps:
    """The part of a step that the relays of an app have. A test that stores nothing needs no table, and no database."""

    def __init__(self, app: Jobistemer) -> None:
        self._app = app
        self._stored_before = {name: relay.count_stored() for name, relay in app.relays.items()}

    def iter_attempts(self, system: System) -> Iterator[Attempt]:
        """Yield the attempts of this instant; what handlers store on the way is sent, and runs too."""
        self._send()
        yield from system.run_until_idle()
        while self._send():
            yield from system.run_until_idle()

    def _send(self) -> int:
        relays, before = self._app.relays, self._stored_before
        return sum(each.send() for name, each in relays.items() if each.count_stored() > before.get(name, 0))
