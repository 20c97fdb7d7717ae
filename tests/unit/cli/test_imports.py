"""What long-lived processes do not import: they have no tables, and a web server only with --health-port."""

from __future__ import annotations

import subprocess
import sys


def test_workers_and_tickers_import_neither_tables_nor_a_web_server():
    run = "import jobistemer.cli.commands.worker, jobistemer.cli.commands.ticker, sys; print(*sys.modules)"
    found = set(subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True).stdout.split())
    assert {"jobistemer.worker.worker", "rich", "jobistemer.terminal.tables", "http.server"} & found == {
        "jobistemer.worker.worker"
    }
