"""An app with jobs and a few runs, and a browser on its dashboard."""

from __future__ import annotations

import pytest

from jobistemer import Jobistemer
from tests.support.apps import empty_app, shard_of
from tests.support.dashboard_client import DashboardClient
from tests.support.lifecycle import build_ended, fetch_one, finish
from tests.support.sample_data import HOSTILE, declare_shop


@pytest.fixture
def app(server_url: str) -> Jobistemer:
    return empty_app(server_url)


@pytest.fixture
def visitor(app: Jobistemer) -> DashboardClient:
    return DashboardClient(app.namespace)


@pytest.fixture
def ids(app: Jobistemer) -> dict[str, str]:
    """Fail an occurrence of `hostile` and a call, and leave another call waiting. Returns their ids."""
    declare_shop(app).deploy()
    hostile, _ = app.control.trigger("hostile")
    finish(
        shard_of(app), build_ended(fetch_one(shard_of(app)), "failed", error=HOSTILE), app.control.find("hostile").job
    )
    dead = app.enqueue("send_email", {"to": HOSTILE}).id
    finish(shard_of(app), build_ended(fetch_one(shard_of(app)), "failed", error=HOSTILE))
    return {"hostile": hostile, "dead": dead, "waiting": app.enqueue("send_email", {"to": "bob"}, queue="slow").id}
