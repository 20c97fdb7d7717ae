"""Functions that a code base hands to RQ are found by its source, wherever they come from, with file and line."""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count
from textwrap import dedent

import pytest
from click.testing import CliRunner

from jobistemer.cli import main

_numbers = count()


@pytest.fixture
def migrate(tmp_path, monkeypatch):
    """Writes the files of a package, reads them with `--source`, and imports what came out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    name = f"sourced_{next(_numbers)}"

    def run(files, *, code=0):
        for path, text in files.items():
            target = tmp_path / "src" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else dedent(text).replace("NAME", name).encode())
        (tmp_path / "src" / name / "__init__.py").touch()
        result = CliRunner().invoke(main, ["migrate", "rq", "--source", f"src/{name}", "--json"])
        assert result.exit_code == code, result.output
        answer = json.loads(result.stdout)
        (tmp_path / f"{name}_jobs.py").write_text(answer["module"], "utf-8")
        module = __import__(f"{name}_jobs")
        remarks = {
            each["subject"].replace(name, "NAME"): each["text"].replace(name, "NAME") for each in answer["remarks"]
        }
        return module.app, remarks

    yield run
    for loaded in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[loaded]


FILES = {
    "mail/__init__.py": "",
    "mail/send.py": """
        def welcome(to: str, lang="en"):
            return f"{to} {lang}"

        def remind(to: str):
            return to

        class Digest:
            @staticmethod
            def build(day):
                return day
        """,
    "views.py": """
        import NAME.mail.send
        from NAME.mail import send as mails
        from .mail.send import Digest, remind
        from .queues import queue, scheduler

        def local(n: int = 1):
            return n

        def view(request, function):
            queue.enqueue(mails.welcome, request.to, job_timeout=600)
            queue.enqueue_in(60, remind, request.to)
            queue.enqueue_at(request.at, remind, request.to)
            queue.enqueue_call(func=local, args=(1,))
            queue.enqueue("NAME.mail.send.welcome", "x", at_front=True)
            queue.enqueue(Digest.build, 1)
            queue.enqueue_many([queue.prepare_data(NAME.mail.send.remind, ("x",))])
            scheduler.cron("0 0 * * *", func=local)
            request.enqueue(local)
            queue.enqueue(function)
            queue.enqueue(lambda: 1)
            queue.enqueue(request.gone.method)
        """,
    "queues.py": """
        queue = scheduler = None
        """,
    "jobs.py": """
        from rq.decorators import job

        @job("low", connection=None, timeout=30)
        def resize(path: str):
            return path
        """,
    "other.py": """
        from . import jobs
        from .queues import queue
        from .mail.send import missing
        class Model: pass

        def unreadable(model: int | Model): pass

        def variadic(*paths):
            pass

        def later():
            queue.enqueue(jobs.resize, "a")
            queue.enqueue(variadic, 1)
            queue.enqueue(unreadable, 1)
        """,
}


def test_functions_that_are_enqueued_become_tasks_and_the_report_says_where(migrate):
    files = {**FILES, "other.py": FILES["other.py"].replace("import missing", "import remind")}
    app, remarks = migrate(files, code=1)
    assert set(app.handlers) >= {"welcome", "remind", "build", "local", "resize"}
    assert app.handlers["welcome"].function("a") == "a en"
    assert app.handlers["resize"].options.queue == "low"
    assert remarks["NAME.mail.send:welcome"] == (
        "enqueued at src/NAME/views.py:11, src/NAME/views.py:15 with at_front=True, job_timeout=600, which are options "
        "of the task or of its call: write welcome.enqueue(…) there"
    )
    assert "views.py:12, src/NAME/views.py:13, src/NAME/views.py:17" in remarks["NAME.mail.send:remind"]
    assert "views.py:14, src/NAME/views.py:18:" in remarks["NAME.views:local"]
    assert "other.py:13" in remarks["NAME.jobs:resize"]
    assert "*paths" in remarks["NAME.other:variadic"]
    assert "cannot be read from JSON" in remarks["NAME.other:unreadable"]
    assert "'function'" in remarks["src/NAME/views.py:20"]
    assert "lambda" in remarks["src/NAME/views.py:21"]
    assert "src/NAME/views.py:19" not in remarks
    assert "'request.gone.method'" in remarks["src/NAME/views.py:22"]


def test_a_function_of_the_application_that_enqueues_what_it_is_given_is_looked_through(migrate):
    helper = """
        from functools import partial
        queue = None

        def start_job(function, *args, in_seconds=0):
            method = queue.enqueue
            if in_seconds:
                method = partial(queue.enqueue_in, in_seconds)
            job = method(function, *args)
            return job

        class Starter:
            def start(self, name, work):
                queue.enqueue(work, name)
        """
    use = """
        from .helper import Starter, start_job

        def one(): pass
        def two(): pass
        def three(): pass

        def use(given):
            start_job(one, 1)
            start_job(function=two)
            Starter().start("x", three)
            start_job(given.method)
        """
    app, remarks = migrate({"helper.py": helper, "use.py": use}, code=1)
    assert {"one", "two", "three"} <= set(app.handlers)
    assert remarks["NAME.use:one"].startswith("enqueued at src/NAME/use.py:9:")
    assert [subject for subject in remarks if ".py" in subject] == ["src/NAME/use.py:12"]


def test_a_function_with_any_names_is_called_without_them_and_a_module_that_no_import_can_say_is_named(migrate):
    migration = "def forward(n=1, **rest):\n    return n\nqueue = None\ndef go():\n    queue.enqueue(forward)\n"
    migration += "    queue.enqueue(later)\nasync def later(n, **rest):\n    return n\n"
    app, remarks = migrate({"m/__init__.py": "", "m/0001_first.py": migration, "m/second.py": migration}, code=1)
    assert app.handlers["forward"].function(n=3) == 3
    assert asyncio.run(app.handlers["later"].function(n=4)) == 4
    assert "no function that a module can import" in remarks["NAME.m.0001_first:forward"]


def test_two_functions_of_one_name_are_two_tasks(migrate):
    text = "def run(n: int):\n    return n\n"
    calls = "from . import a, b\nqueue = None\ndef go():\n    queue.enqueue(a.run)\n    queue.enqueue(b.run)\n"
    app, _ = migrate({"a.py": text, "b.py": text.replace("return n", "return -n"), "c.py": calls})
    (other,) = (name for name in app.handlers if name.endswith(".b.run"))
    assert (app.handlers["run"].function(1), app.handlers[other].function(1)) == (1, -1)


def test_what_cannot_be_read_or_imported_is_a_line_of_the_report(migrate):
    broken = "from .nowhere import gone\nqueue = None\ndef go():\n    queue.enqueue(gone, 1)\n"
    _, remarks = migrate({"a.py": broken, "b.py": "def (:", "c.py": b"\xff\xfe\x00", "d.py": "#" * 1_000_001}, code=1)
    assert "has no attribute 'nowhere'" in remarks["NAME.nowhere.gone"]
    assert "a.py:4" in remarks["NAME.nowhere.gone"]
    assert "SyntaxError" in remarks["src/NAME/b.py"]
    assert "src/NAME/c.py" in remarks
    assert "more than 1000000 bytes" in remarks["src/NAME/d.py"]


def test_environments_and_hidden_folders_are_not_read(migrate):
    call = "def f(): pass\nqueue = None\ndef go():\n    queue.enqueue(f)\n"
    files = {
        "mine.py": call,
        ".git/hidden.py": call,
        "venv/lib/theirs.py": call,
        "venv/pyvenv.cfg": "",
        "build/x.py": call,
    }
    _, remarks = migrate(files)
    assert [subject for subject in remarks if subject.startswith("NAME")] == ["NAME.mine:f"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a module of RQ jobs, or a folder of source by --source"),
        (["--source", "nowhere"], "'nowhere' is no folder"),
        (["--source", "empty"], "'empty' has no Python files"),
        (["--source", "plain"], "nor calls of queue.enqueue"),
    ],
)
def test_what_is_no_source_is_one_clear_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.py").write_text("x = 1\n")
    result = CliRunner().invoke(main, ["migrate", "rq", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
