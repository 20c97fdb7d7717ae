"""Each test of a script probes it with keys of the wrong type, on the embedded server."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobistemer.core.errors import JobistemerError
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply, ScriptCall, list_scripts
from tests.support.servers import VALKEY
from tests.support.type_probe import TypeProbe

_PROBES = {f"test_{each.name}": TypeProbe(each.name) for each in list_scripts()}


@pytest.fixture(autouse=True)
def _probed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script that the file of the test is named after meets a value of the wrong type in each of its keys."""
    probe = _PROBES.get(request.module.__name__.rpartition(".")[2])
    kinds = getattr(getattr(request.node, "callspec", None), "params", {})
    if probe is None or kinds.get("server_url") != VALKEY:
        return
    plain_call, plain_call_all = Database.call, Database.call_all

    def call(database: Database, sent: ScriptCall) -> Reply:
        return probe.call(database, sent) if probe.concerns(sent) else plain_call(database, sent)

    def call_all(database: Database, sent: Sequence[ScriptCall]) -> list[Reply | JobistemerError]:
        return probe.call_all(database, sent) if any(map(probe.concerns, sent)) else plain_call_all(database, sent)

    monkeypatch.setattr(Database, "call", call)
    monkeypatch.setattr(Database, "call_all", call_all)
