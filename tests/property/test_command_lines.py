"""Every command line ends without a trace: with what was asked for, or with one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jobistemer import Jobistemer
from jobistemer.cli import main
from jobistemer.store.server.connection import forget_fake_server
from tests.property.odd_values import fuzz

# These run until they are stopped, or measure the machine.
ENDLESS = {"dashboard", "dev", "top", "bench", "watch"}
WORDS = [
    *(
        "",
        "0",
        "-1",
        "1",
        "9" * 20,
        "1e400",
        "nan",
        "inf",
        "\ud800",
        "\udcff",
        "a b",
        "a\0b",
        "../x",
        "{}",
        "[]",
        "{",
        "null",
    ),
    *(
        '{"a":1e999}',
        '{"a":"\\ud800"}',
        "[" * 2_000,
        "10" * 2_500,
        "send",
        "nightly",
        "fuzzed:app",
        "fuzzed:nope",
        "fuzzed",
    ),
    *("* * * * *", "0 0 31 2 *", "@daily", "PT1S", "R5/2026-01-01T00:00:00Z/P1D", "2026-01-01", "2026-01-01T00:00:00Z"),
    *(
        "2026-01-01T00:00:00+99:99",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "-5",
        "5s",
        "5m",
        "x" * 300,
        "\x1b[2J",
    ),
    *(
        "\n",
        "Europe/Berlin",
        "Mars/Base",
        "run_0",
        "occ_0",
        "bf_0",
        "redis://:p[@h",
        "é",
        "٣",
        "1_000",
        "--",
        "=",
        "a=b",
        "a=",
    ),
    *("running", "failed", "default", "nightly=5s", "nightly=" + "9" * 30, ".", "/nonexistent/x", "fuzzed.py"),
]
APP = """
from jobistemer import Jobistemer
app = Jobistemer()
@app.job("0 2 * * *", name="nightly")
def nightly() -> None: ...
@app.task
def send(to: str = "a", n: int = 1) -> None: ...
"""


def find_leaves(
    command: click.Command, path: tuple[str, ...], parent: click.Context
) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    subcommands = [(name, command.get_command(parent, name)) for name in command.list_commands(parent)]
    return [
        leaf
        for name, each in subcommands
        if each is not None and name not in ENDLESS
        for leaf in find_leaves(each, (*path, name), click.Context(each, parent=parent))
    ]


LEAVES = find_leaves(main, (), click.Context(main))


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with some of its options and most of its arguments, each with an odd or a likely word."""
    path, command = draw(st.sampled_from(LEAVES))
    words, line = st.sampled_from(WORDS), list(path)
    chosen = draw(st.lists(st.sampled_from(command.params), max_size=3, unique=True)) if command.params else []
    for each in command.params:
        if isinstance(each, click.Argument) and draw(st.integers(0, 9)):
            line.append(draw(words))
        elif isinstance(each, click.Option) and each in chosen and each.name not in ("url", "namespace", "help"):
            line.append(each.opts[-1])
            if not each.is_flag:
                line.append(draw(words))
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzzed")
    (folder / "fuzzed.py").write_text(APP)
    return folder


@fuzz(400)
@given(line=command_lines())
def test_a_command_line_ends_without_a_trace(folder: Path, line: list[str]) -> None:
    url = f"fake://command-lines-{uuid4().hex[:8]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("JOBISTEMER_URL", url)
        patch.setenv("JOBISTEMER_NAMESPACE", "fuzzed")
        Jobistemer(url, namespace="fuzzed").enqueue("send", {})
        answer = CliRunner().invoke(main, line, input="")
    forget_fake_server(url)
    assert answer.exception is None or isinstance(answer.exception, SystemExit), (line, answer.exc_info)
    assert "Traceback" not in answer.output
    assert answer.exit_code in (0, 1, 2)
