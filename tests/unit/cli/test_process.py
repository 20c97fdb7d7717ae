"""Options of the processes come from the command line, the environment, the project's file, or their default."""

import pytest
from click.testing import CliRunner

from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBISTEMER_CONCURRENCY", raising=False)

    def write(text):
        (tmp_path / "pyproject.toml").write_text(text)

    return write


def found(command, *arguments):
    """What the options of a command would be, by name."""
    return command.make_context(command.name, list(arguments)).params


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(project, monkeypatch):
    project('[tool.jobistemer.worker]\nconcurrency = 3\nqueues = "mail:2"\nmax-memory = 9\n')
    assert {name: found(worker_command)[name] for name in ("concurrency", "queues", "max_memory_mib", "grace")} == {
        "concurrency": 3,
        "queues": "mail:2",
        "max_memory_mib": 9,
        "grace": 30.0,
    }
    monkeypatch.setenv("JOBISTEMER_CONCURRENCY", "4")
    assert found(worker_command)["concurrency"] == 4
    assert found(worker_command, "-c", "5")["concurrency"] == 5


def test_a_ticker_has_a_section_of_its_own(project):
    project("[tool.jobistemer.ticker]\nmax-jump = 60\n")
    assert found(ticker_command)["max_jump"] == 60


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[tool.jobistemer.worker]\nconcurency = 3\n", 1, "[tool.jobistemer.worker] has 'concurency'; known are"),
        ('[tool.jobistemer.worker]\nconcurrency = "many"\n', 2, "'many' is not a valid integer"),
        ("[tool.jobistemer]\nworker = 7\n", 1, "cannot be used"),
    ],
)
def test_what_the_file_says_wrongly_is_refused(project, text, code, words):
    project(text)
    result = CliRunner().invoke(worker_command, [])
    assert result.exit_code == code
    assert words in result.stderr
