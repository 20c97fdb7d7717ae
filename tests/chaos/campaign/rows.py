"""The rows of a campaign: one line of JSON for each story that was played, with all that it was played on."""

from __future__ import annotations

import platform
import statistics
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from jobistemer import __version__
from tests.chaos.campaign.verdict import VIOLATIONS, Verdict
from tests.support.paths import ROOT

PUBLISHED = ROOT / "docs" / "chaos"
"""The folder of the rows that docs/chaos.md is drawn from."""


class Row(msgspec.Struct, frozen=True):
    """One story. seconds: under faults. recovery_s: after each fault, until all that was open had had its effect.

    wrong: what else was wrong, such as an exit code or an unexpected error in a log.
    """

    story: str
    at: str
    version: str
    commit: str
    python: str
    server: str
    seed: int
    seconds: float
    faults: int
    recovery_s: list[float]
    verdict: Verdict
    wrong: list[str]

    @property
    def is_right(self) -> bool:
        return not self.verdict.violations and not self.wrong

    def describe(self) -> str:
        """One line for people, and one for each thing that was wrong."""
        told = self.verdict
        counted = f"{told.acknowledged} calls, {told.occurrences} occurrences, {told.executions} executions"
        broken = ", ".join(f"{name} {getattr(told, name)}" for name in VIOLATIONS)
        head = f"{self.story}: {'right' if self.is_right else 'WRONG'}; faults {self.faults}, {counted}; {broken}"
        recovered = f"; recovery {statistics.median(self.recovery_s):.1f} s (median)" if self.recovery_s else ""
        return "\n  ".join([head + recovered, *told.examples[:10], *self.wrong])


def describe_place(server: dict[str, object]) -> dict[str, str]:
    """What rows say of the machine and the code. server: its INFO."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=False, cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    name = server.get("server_name", "redis")
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": __version__,
        "commit": commit,
        "python": platform.python_version(),
        "server": f"{name} {server.get('valkey_version') or server['redis_version']}",
    }


def append_row(file: Path, row: Row) -> None:
    """Store a row; what is there stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as rows:
        rows.write(msgspec.json.encode(row) + b"\n")


def read_rows(folder: Path = PUBLISHED) -> list[Row]:
    """The rows of all files of a folder, in the order of the files and of their lines."""
    decode = msgspec.json.Decoder(Row).decode
    return [decode(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().splitlines() if line]
