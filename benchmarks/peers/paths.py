"""Where everything lies: the environments, logs and results of a comparison, all under `.bench/`."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ADAPTERS = Path(__file__).resolve().parent / "adapters"
BENCH = REPOSITORY / ".bench"
LOGS = BENCH / "logs"
RESULTS = BENCH / "results.jsonl"
