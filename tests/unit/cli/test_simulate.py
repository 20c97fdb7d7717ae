import json
import xml.etree.ElementTree as ET

import pytest

from jobistemer.cli import day_chart
from jobistemer.core.planning.simulation import AssumedRun

APP = """
from jobistemer import Jobistemer
app = Jobistemer("redis://127.0.0.1:1/0")

@app.job("30 2 * * *", timezone="Europe/Berlin")
def nightly() -> None: ...

@app.job("*/30 * * * *", overlap="allow")
def often() -> None: ...

@app.job("PT6H")
def spaced() -> None: ...
"""


@pytest.fixture
def simulate(cli, tmp_path, monkeypatch):
    """`simulate(…)` plays an app whose server does not exist."""
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("played", None)
    (tmp_path / "played.py").write_text(APP)
    monkeypatch.delenv("JOBISTEMER_URL")
    return lambda *options: cli("simulate", "played:app", "--from", "2026-03-28T00:00:00Z", *options)


def test_a_report_for_people_needs_no_server(simulate):
    result = simulate("--days", 3, "--duration", "often=2h")
    assert result.exit_code == 0, result.output
    assert "3 jobs from Sat 2026-03-28 00:00:00 UTC, 3 days: 159 due instants, 143 while an earlier" in result.stdout
    assert "nightly at 2026-03-29 01:00:00 UTC: moved: 02:30 does not exist" in result.stdout
    assert "█" in result.stdout


def test_the_answer_as_json_has_each_job(simulate):
    found = json.loads(simulate("--days", 1, "--json").stdout)
    assert {each["job"]: each["due"] for each in found["jobs"]} == {"nightly": 1, "often": 48, "spaced": 4}


def test_the_picture_has_a_bar_for_each_run(simulate, tmp_path):
    result = simulate("--days", 1, "--svg", "day.svg")
    assert "day.svg shows that day" in result.stdout
    drawn = ET.fromstring((tmp_path / "day.svg").read_text())
    bars = [each for each in drawn.iter("{http://www.w3.org/2000/svg}path") if each.get("fill") == "#3b7dd8"]
    assert sum(each.get("d").count("M") for each in bars) == 53


def test_the_picture_shows_where_a_clock_changes_and_cuts_long_names(simulate, tmp_path):
    simulate("--days", 1, "--from", "2026-03-29T00:00:00Z", "--svg", "day.svg")
    drawn = (tmp_path / "day.svg").read_text()
    assert "Europe/Berlin: clock goes from 02:00 to 03:00" in drawn
    line = day_chart._render_job("<" * 31, (AssumedRun(0, 60),), 0, 0)
    assert "&lt;" * 29 + "…<title>" in next(line)


@pytest.mark.parametrize(
    ("duration", "message"),
    [
        ("often=soon", "--duration 'often=soon' is not JOB=LENGTH, such as nightly=30s"),
        ("often=0s", "is not JOB=LENGTH"),
        ("nope=5min", "this app declares no job 'nope'; it has nightly, often, spaced"),
    ],
)
def test_a_duration_that_cannot_be_is_refused(simulate, duration, message):
    result = simulate("--duration", duration)
    assert result.exit_code == (1 if "nope" in duration else 2)
    assert message in result.stderr
