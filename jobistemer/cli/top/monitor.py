"""What `jobistemer top` shows of a namespace, and how it is read."""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.cli.top.details import Details, read_details
from jobistemer.cli.top.parts import Target
from jobistemer.cli.top.rates import Rates, compute_rates
from jobistemer.cli.top.snapshot import TopSnapshot, open_counting_shards, take_snapshot
from jobistemer.store.namespace import Namespace


class Look(NamedTuple):
    """The answer of one read.

    target: the one that was read. error: why the read failed; then there is no snapshot. said: the message of the
    change that was made before it.
    """

    target: Target | None
    details: Details | None = None
    snapshot: TopSnapshot | None = None
    error: str = ""
    said: str = ""


class Monitor:
    """The latest snapshot with its rates, the latest details, and the error of the latest read.

    `look` asks the server and changes nothing here, so that it may run on another thread.
    """

    def __init__(self, title: str, namespace: Namespace) -> None:
        self.title = title
        self._namespace = namespace
        self._shards = open_counting_shards(namespace)
        self.snapshot = take_snapshot(self._shards)
        self.rates = Rates()
        self.error = ""
        self._details: tuple[Target, Details] | None = None

    def look(self, target: Target | None) -> Look:
        """Read the tables, and the details of a target. Raises JobistemerError."""
        snapshot = take_snapshot(self._shards)
        return Look(target, read_details(self._namespace, target) if target else None, snapshot)

    def show_details(self, look: Look) -> None:
        """Keep the details of a read, or its error."""
        self.error = look.error
        if look.target and look.details:
            self._details = (look.target, look.details)

    def show_tables(self, look: Look) -> None:
        """Keep the snapshot of a read, with the rates since the one before; a failed read changes nothing."""
        if look.snapshot is not None:
            self.rates = compute_rates(self.snapshot, look.snapshot, self.rates)
            self.snapshot = look.snapshot

    def details_of(self, target: Target) -> Details:
        """Return the latest details of a target; when it was not read yet, they say so."""
        if self._details is not None and self._details[0] == target:
            return self._details[1]
        return Details(f"{target.kind} {target.id}", [("", self.error or "it is being read")], [])

    def to_dict(self) -> dict[str, object]:
        """Return the answer of `--json`."""
        return {"seen": self.snapshot, "rates": self.rates}
