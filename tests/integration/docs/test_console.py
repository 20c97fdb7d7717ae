"""What the console blocks of the pages show happens: their lines are typed one after another, and answer in that shape.

The application of a page is under test, so time stands still where the page was written, and steps stand in for worker
and ticker. Numbers, ids and what stands for `…` may differ.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.control.jobs import JobControl
from jobistemer.testing import Jobs, under_test
from tests.support.pages import PAGES, CommandLine, read_lines

WRITTEN_AT = "2026-11-21T03:30:00Z"
ELSEWHERE = {"dev", "top", "dashboard", "bench", "acl", "doctor", "quarantine"}
"""Commands that do not end, need a server of their own, or are played by tests of their own."""


class Story(NamedTuple):
    """One page.

    module: the name of the file with its first Python block, or with `code`. prepare: what has happened before the first
    line; it returns what placeholders stand for. says: words of the page about what a command prints, by its beginning.
    """

    module: str
    code: str = ""
    prepare: Callable[[Jobistemer, Jobs], dict[str, str | list[str]]] = lambda _app, _jobs: {}
    says: dict[str, str] = {}
    codes: dict[str, int] = {}


NIGHTLY = """
from jobistemer import Jobistemer

app = Jobistemer()


@app.job("0 2 * * *")
def nightly() -> None: ...
"""


def deploy(app, _jobs):
    app.deploy()
    return {}


def trigger(app, jobs):
    app.deploy()
    occurrence, _ = app.control.trigger("nightly")
    jobs.run_until_idle()
    return {"occ_345b5b76-c140-5685-9b66-7790e66a1426": occurrence}


def deploy_twice(app, _jobs):
    app.deploy()
    app.control.put("nightly", task="nightly", schedule="0 3 * * *")
    return {}


def deploy_before(app, _jobs):
    """Register what an earlier release has declared: nightly at another time, and a job that is not there any more."""
    earlier = Jobistemer("fake://earlier")
    for name, schedule in {"nightly": "0 2 * * *", "yearly": "0 0 1 1 *", **dict.fromkeys("abc", "@daily")}.items():
        earlier.job(schedule, name=name)(lambda: None)
    for job in earlier.jobs():
        JobControl(app.namespace).register(job, owner="shop:app")
    return {}


def die(app, jobs):
    """Let a run of a job, and three calls, be out of attempts, for the lines that show, replay and purge them."""
    app.deploy()
    app.control.trigger("nightly")
    runs = [app.enqueue("charge", {"customer": number}).id for number in range(3)]
    jobs.advance(hours=3, raise_on_failure=False)
    return {"run_…": runs}


def run_and_wait(app, jobs):
    run = app.enqueue("fetch", {"url": "https://example.org"}).id
    jobs.run_until_idle(raise_on_failure=False)
    return {"run_0198…": run}


DYING = (
    NIGHTLY.replace(": ...", ":\n    raise OSError('gone')")
    + """

@app.task
def charge(customer: int) -> None:
    raise OSError("the bank is busy")
"""
)

STORIES = {
    "retries-and-dead-letters.md": Story(
        "shop", DYING, die, {"jobistemer dead list": "the bank is busy", "jobistemer dead purge": "purged"}
    ),
    "context.md": Story(
        "shop", NIGHTLY.replace("@app.job", "@app.task\ndef fetch(url: str) -> None: ...\n\n\n@app.job"), run_and_wait
    ),
    "simulate.md": Story(
        "shop",
        NIGHTLY + "\n\n@app.job('*/5 * * * *')\ndef sync() -> None: ...\n",
        says={"jobistemer simulate": "nightly"},
    ),
    "README.md": Story("myapp"),
    "tutorial.md": Story(
        "shop",
        prepare=deploy,
        says={"jobistemer run show": "we do not sell plum", "jobistemer dead": "no dead letters"},
    ),
    "backfill.md": Story("shop", NIGHTLY, trigger),
    "change-a-job.md": Story("shop", NIGHTLY, deploy_twice, {"jobistemer job diff": "0 3 * * *"}),
    "control.md": Story("shop", NIGHTLY, deploy, {"jobistemer job log": "release 2.4"}),
    "deploy.md": Story(
        "shop",
        "from jobistemer import Jobistemer\n\napp = Jobistemer()\n"
        + "".join(
            f"app.job({schedule!r}, name={name!r})(lambda: None)\n"
            for name, schedule in {
                "nightly": "0 3 * * *",
                "hourly": "0 * * * *",
                **dict.fromkeys("abc", "@daily"),
            }.items()
        ),
        deploy_before,
        codes={"jobistemer deploy": 4},
    ),
    "schedules.md": Story("shop", NIGHTLY),
}


def load(story: Story, page: str, folder, monkeypatch) -> ModuleType:
    text = next(each for each in PAGES if each.name == page).read_text(encoding="utf-8")
    code = story.code or re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    (folder / f"{story.module}.py").write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, story.module, raising=False)
    monkeypatch.setenv("JOBISTEMER_URL", "fake://console")
    monkeypatch.setenv("COLUMNS", "300")
    module = __import__(story.module)
    # Monkeypatch takes it out of the modules again.
    monkeypatch.setitem(sys.modules, story.module, module)
    return module


def shape_of(shown: str) -> re.Pattern[str]:
    """Return what a line of output may look like: numbers, ids and the width of columns may be others."""
    found = re.escape(shown.strip())
    found = re.sub(r"\d(?:[\d,]|\\\.(?=\d))*", r"[\\d,.]+", found.replace("…", ".*"))
    found = re.sub(r"(bf|run|occ)_\S+", r"\1_\\S+", found)
    return re.compile(r"\s+".join(re.split(r"(?:\\ )+", found)))


def type_line(line: CommandLine, known: dict[str, str | list[str]]) -> list[str] | None:
    """Return the arguments of a line that is played here."""
    text = line.text
    for placeholder, meant in known.items():
        # A line of its own for each of several: what one line has replayed another one cannot.
        several = meant if isinstance(meant, list) else [meant]
        if placeholder in text:
            text = text.replace(placeholder, several.pop(0) if len(several) > 1 else several[0])
    words = shlex.split(text, comments=True)
    return words[1:] if words[:1] == ["jobistemer"] and words[1] not in ELSEWHERE else None


@pytest.mark.parametrize("page", STORIES)
def test_the_console_lines_of_a_page_answer_as_it_shows(page, tmp_path, monkeypatch):
    story = STORIES[page]
    app = load(story, page, tmp_path, monkeypatch).app
    played = 0
    with under_test(app, at=WRITTEN_AT) as jobs:
        monkeypatch.setenv("JOBISTEMER_URL", app.namespace.url)
        known = story.prepare(app, jobs)
        for line in read_lines(next(each for each in PAGES if each.name == page)):
            arguments = type_line(line, known) if line.is_whole else None
            if arguments is None:
                continue
            told = CliRunner().invoke(main, arguments, input="y\n")
            code = next((each for start, each in story.codes.items() if line.text.startswith(start)), 0)
            assert told.exit_code == code, (line.text, told.output)
            lines = [each.strip() for each in told.output.splitlines()]
            for shown in line.output:
                assert any(shape_of(shown).fullmatch(each) for each in lines), (line.text, shown, told.output)
            for start, words in story.says.items():
                if line.text.startswith(start):
                    assert words in told.output, (line.text, told.output)
            if found := re.fullmatch(r"(run_\S+)\n", told.output):
                known["run_…"] = found[1]
            jobs.run_until_idle(raise_on_failure=False)
            played += 1
    assert played, "no line of this page was played"


def test_another_answer_would_be_found():
    assert shape_of("720 fire times appear within 30 days, in UTC: 2026-11-21 04:00:00, …").fullmatch(
        "1,440 fire times appear within 30 days, in UTC: 2027-01-21 04:00:00, 2027-01-21 05:00:00"
    )
    assert not shape_of("3 unchanged").fullmatch("3 changed")
    assert not shape_of("+ hourly: new").fullmatch("+ hourly: newer")
