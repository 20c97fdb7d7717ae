"""Cases in files that a person can read: one a line, columns separated by |, comments after #."""

from __future__ import annotations

from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"


def cases(name: str):
    """Give the cases of a file as pytest parameters, each identified by its line."""
    lines = (CASES / f"{name}.txt").read_text("utf-8").splitlines()
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("# ")]
    return [
        pytest.param(*(column.strip() for column in line.split("|")), id=f"line {number}: {line.strip()}")
        for number, line in rows
    ]
