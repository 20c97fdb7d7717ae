"""What long-lived processes do not import: they have no tables, and a web server only with --health-port.

`tests/integration/runtime/test_idle_modules.py` looks at a worker that has worked.
"""

from __future__ import annotations

import subprocess
import sys


def modules_after(imports: str) -> set[str]:
    run = f"import {imports}, sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True).stdout.split())


def test_workers_and_tickers_import_neither_tables_nor_a_web_server():
    found = modules_after("jobistemer.cli.commands.worker, jobistemer.cli.commands.ticker")
    assert {"jobistemer.worker.worker", "rich", "jobistemer.terminal.tables", "http.server"} & found == {
        "jobistemer.worker.worker"
    }


def test_a_ticker_imports_neither_control_of_jobs_nor_the_rules_of_users():
    found = modules_after("jobistemer.cli.commands.ticker")
    assert {"jobistemer.ticker.ticker", "jobistemer.control.jobs", "jobistemer.store.acl", "difflib"} & found == {
        "jobistemer.ticker.ticker"
    }


def test_dev_imports_no_tables_before_there_is_a_terminal_and_nothing_of_the_dashboard():
    found = modules_after("jobistemer.cli.commands.dev")
    assert {"jobistemer.dev.session", "rich", "jobistemer.dev.screen", "jobistemer.cli.commands.dashboard"} & found == {
        "jobistemer.dev.session"
    }
