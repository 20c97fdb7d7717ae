"""The example on FastAPI under real servers with two processes each, and what a browser is sent."""

from __future__ import annotations

import json
import signal
import urllib.request

import pytest

from jobistemer import Jobistemer
from tests.support.clusters import free_port
from tests.support.paths import ROOT
from tests.support.processes import Process
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.process
UVICORN = ("-m", "uvicorn", "workers.web:api", "--workers", "2", "--host", "127.0.0.1", "--port")
GUNICORN = ("-m", "gunicorn", "workers.web:api", "-w", "2", "-k", "uvicorn_worker.UvicornWorker", "--preload", "-b")


def ask(url, body=None):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


@pytest.mark.slow
@pytest.mark.parametrize("command", [UVICORN, GUNICORN], ids=["uvicorn", "gunicorn, loaded before the fork"])
def test_two_processes_run_the_orders_show_their_progress_and_end_in_order(command, tmp_path):
    with running(VALKEY, tmp_path) as server:
        port = free_port()
        place = str(port) if command is UVICORN else f"127.0.0.1:{port}"
        with Process(place, folder=ROOT, environment={"JOBISTEMER_URL": server}, command=command) as web:
            web.says("Application startup complete")
            web.says("Application startup complete")
            check_service(f"http://127.0.0.1:{port}", server)
            web.send(signal.SIGTERM)
            assert web.ends() == 0, web.text
        with Jobistemer(server) as jobs:
            assert (jobs.health().workers, jobs.health().tickers) == (0, 0), web.text


def check_service(address, server):
    with Jobistemer(server) as jobs:
        # Each process has a ticker and a worker of its own.
        wait_until(lambda: (jobs.health().workers, jobs.health().tickers) == (2, 2), "all roles are there")
        run = json.loads(ask(f"{address}/orders", {"customer": "Ann", "parcels": 3}))["run"]
        events = ask(f"{address}/orders/{run}/events")
        assert 'event: progress\ndata: {"attempt":0,"done":3.0,"total":3.0,"note":"parcels"}' in events
        assert events.endswith('id: end\nevent: end\ndata: {"state":"succeeded","error":""}\n\n')
        assert jobs.run(run).result(timeout=60) == 9
        assert "Jobistemer" in ask(f"{address}/admin/jobs/")
