"""Which app and which server a command means."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from jobistemer.cli.commands.worker import worker_command

APP = """
from jobistemer import Jobistemer
app = Jobistemer({arguments})

@app.job("0 2 * * *")
def nightly() -> None: ...
"""


@pytest.fixture
def project(tmp_path, monkeypatch, url):
    """An empty folder as the current one; modules in it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write_app(folder, name, arguments=""):
    (folder / f"{name}.py").write_text(APP.format(arguments=arguments))


def test_the_app_is_the_argument(cli, project):
    write_app(project, "by_argument")
    result = cli("deploy", "by_argument:app", "--json")
    assert result.exit_code == 0, result.output
    assert '"CREATED"' in result.stdout


def test_else_the_environment_says(cli, project, monkeypatch):
    write_app(project, "by_environment")
    monkeypatch.setenv("JOBISTEMER_APP", "by_environment:app")
    assert "CREATED" in cli("deploy").stdout


def test_else_the_nearest_pyproject_above_says(cli, project, monkeypatch):
    write_app(project, "by_project")
    (project / "pyproject.toml").write_text('[tool.jobistemer]\napp = "by_project:app"\n')
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    (project / "a" / "pyproject.toml").write_text("[project]\n")
    monkeypatch.chdir(deep)
    assert "CREATED" in cli("deploy").stdout


def test_a_second_deployment_changes_nothing_and_says_so(cli, project):
    write_app(project, "twice")
    cli("deploy", "twice:app")
    assert "1 unchanged" in cli("deploy", "twice:app").stdout


def test_server_and_namespace_can_stand_in_pyproject(cli, project, monkeypatch, url):
    monkeypatch.delenv("JOBISTEMER_URL")
    (project / "pyproject.toml").write_text(f'[tool.jobistemer]\nurl = "{url}"\nnamespace = "shop"\n')
    assert cli("enqueue", "greet").exit_code == 0
    assert '"waiting": 1' in cli("queue", "list", "--json", "--namespace", "shop", "--url", url).stdout


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nothing_here:app", "importing nothing_here failed: ModuleNotFoundError: No module named 'nothing_here'"),
        ("nothing_here", "must look like MODULE:APP, such as shop:app for `app` in shop.py"),
        ("there:application", "there has no Jobistemer app 'application'; apps there: app"),
        ("broken:app", "importing broken failed: ZeroDivisionError: division by zero ("),
        ("wrong:app", "importing wrong failed: InvalidSchedule: "),
    ],
)
def test_an_app_that_is_not_there_is_one_line_that_says_why(cli, project, reference, message):
    write_app(project, "there")
    (project / "broken.py").write_text("1 / 0\n")
    (project / "wrong.py").write_text(APP.format(arguments="").replace("0 2 * * *", "61 * * * *"))
    result = cli("deploy", reference)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_any_app_the_three_places_are_named(cli, project):
    result = cli("deploy")
    assert result.exit_code == 1
    assert "name it as MODULE:APP, in JOBISTEMER_APP, or in pyproject.toml" in result.stderr


def test_a_table_with_a_typo_is_refused_by_name(cli, project):
    (project / "pyproject.toml").write_text('[tool.jobistemer]\nnamspace = "shop"\n')
    result = cli("job", "list")
    assert result.exit_code == 1
    assert "pyproject.toml: [tool.jobistemer] cannot be used" in result.stderr
    assert "namspace" in result.stderr


def test_an_app_that_names_its_own_server_is_not_silently_sent_to_another_one(cli, project):
    write_app(project, "its_own", '"redis://user:secret@db:6379/0"')
    result = cli("deploy", "its_own:app", "--url", "redis://elsewhere:6379/0")
    assert result.exit_code == 1
    assert "says url='redis://user:***@db:6379/0' itself, but 'redis://elsewhere:6379/0' was asked for" in result.stderr


def test_an_app_that_names_its_own_namespace_is_not_silently_sent_to_another_one(cli, project):
    write_app(project, "named", 'namespace="shop"')
    result = cli("deploy", "named:app", "--namespace", "other")
    assert result.exit_code == 1
    assert "says namespace='shop' itself, but 'other' was asked for" in result.stderr


@pytest.mark.parametrize("arguments", [("job", "list"), ("enqueue", "greet"), ("dead", "replay", "--all")])
def test_when_no_server_answers_every_command_says_what_to_do(cli, arguments):
    result = cli(*arguments, "--url", "redis://:secret@127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "no Redis or Valkey server answers at redis://:***@127.0.0.1:1/0" in result.stderr
    assert "Start one (`redis-server`, `docker compose up`, or `jobistemer dev`" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-c", "0"), "concurrency is 0, allowed is 1–1000"),
        (("-Q", "a:x"), "queues 'a:x': weight 'x' of 'a' is no whole number"),
        (("-Q", ","), "queues is empty; name at least one, such as `default`"),
        (("-Q", "a b"), "queue name 'a b' is not allowed"),
        (("--lease", "0"), "lease_s is 0.0, allowed is 1–3600"),
        (("--grace", "-1"), "grace_s is -1.0, allowed is 0–86400"),
    ],
)
def test_a_worker_setting_that_cannot_be_is_refused_with_what_is_allowed(url, arguments, message):
    result = CliRunner().invoke(worker_command, ["some:app", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_shortest_lease_leaves_room_for_three_beats(project):
    write_app(project, "short")
    # A process of its own, because it takes over the signals and the log.
    command = [sys.executable, "-m", "jobistemer.cli.commands.worker", "short:app", "--lease", "1", "--burst"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "started: 8 slots, queues default" in done.stderr


def test_a_file_in_place_of_a_module_is_told_how_to_be_named(cli, project):
    result = cli("deploy", "shop/jobs.py:app")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: app 'shop/jobs.py:app' names a file; a module is named without .py: shop.jobs:app\n",
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("import requestz\n", 1, "ModuleNotFoundError: No module named 'requestz'"),
        ("\n\nlen(3)\n", 3, "TypeError: object of type 'int' has no len()"),
        ("def deep():\n    return 1 / 0\n\ndeep()\n", 2, "ZeroDivisionError: division by zero"),
        (APP.format(arguments="") + "app.job('61 * * * *')\n", 7, "InvalidSchedule: minute 61 is out of 0–59"),
        (
            APP.format(arguments="") + "def f(a: 'Nope'): ...\napp.task(f)\n",
            8,
            "InvalidDefinition: task 'f': an annotation cannot be resolved: name 'Nope' is not defined",
        ),
    ],
)
def test_what_is_wrong_in_an_app_is_told_with_the_line_of_the_app(cli, project, text, line, said):
    (project / "wrong.py").write_text(text)
    error = cli("deploy", "wrong:app").stderr
    assert f"importing wrong failed: {said}" in error
    assert error.endswith(f"({project / 'wrong.py'}, line {line})\n")


def test_a_file_that_is_no_python_is_told_once_with_its_line(cli, project):
    (project / "wrong.py").write_text("app = (\n")
    error = cli("deploy", "wrong:app").stderr
    assert (
        error
        == "Error: app 'wrong:app': importing wrong failed: SyntaxError: '(' was never closed (wrong.py, line 1)\n"
    )
