"""A project of Django: its tasks, transactions, commands, admin, and its own form of tasks.

Django is set up once in a process, so its app is one for all tests here; the server is in this process, but for the
commands. On PostgreSQL the same tests run in a process of their own.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from urllib.parse import urlencode

import pytest

from jobistemer import InvalidPayload, Jobistemer, Misconfigured, RunFailed, UnknownRun
from jobistemer.app.declared_queues import find_declared_queues
from jobistemer.control.changes import ChangeList
from jobistemer.control.queues import QueueControl
from tests.support.apps import drain_queues
from tests.support.paths import ROOT
from tests.support.postgres import find_binaries, running_postgres
from tests.support.processes import Process
from tests.support.questions import answer_by_link, ask_someone
from tests.support.servers import VALKEY, running

PROJECT = "tests.integration.contrib.django_project"


def import_tasks(name: str):
    """A module of Django's tasks: of Django 6, or of the package before it."""
    import django

    return import_module(f"django.tasks.{name}" if django.VERSION >= (6,) else f"django_tasks.{name}")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Django set up on a database of its own, with its tables."""
    folder = tmp_path_factory.mktemp("django")
    os.environ |= {"DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings", "DJANGO_TEST_FOLDER": str(folder)}
    # Coroutines of a test look at the database where the thread of the test has done so before.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, run_syncdb=True)
    return folder


@pytest.fixture
def app(project):
    from django.contrib.auth.models import User

    from jobistemer.contrib.django import app
    from jobistemer.contrib.django.models import OutboxCall

    drain_queues(app)
    User.objects.all().delete()
    OutboxCall.objects.all().delete()
    return app


@pytest.fixture
def tasks(app):
    from tests.integration.contrib.django_project import tasks

    return tasks


@pytest.fixture
def admin_user(app):
    from django.contrib.auth.models import User

    return User.objects.create_superuser("ann", password="secret")


@pytest.fixture
def client(admin_user):
    """A browser in which the superuser has logged in."""
    from django.test import Client

    client = Client()
    client.force_login(admin_user)
    return client


def test_the_settings_make_the_app_and_tasks_are_found(app, tasks):
    assert (app.namespace.name, app.defaults.retention_s) == ("django", 3600)
    assert {"count_users", f"{PROJECT}.tasks.add", "outbox-relay"} <= set(app.handlers)


def test_workers_serve_the_queues_of_the_backend(app, tasks):
    assert set(find_declared_queues(app)) == {"default", "mail"}


def test_tasks_use_the_orm_in_threads_and_coroutines(app, tasks, admin_user):
    run, awaited = tasks.count_users.enqueue("a"), tasks.count_users_async.enqueue()
    drain_queues(app)
    assert run.result(0) == awaited.result(0) == 1


def test_a_connection_that_is_too_old_is_closed_after_its_run(app, tasks):
    runs = []
    for _ in range(3):
        runs.append(tasks.find_connection.enqueue())
        drain_queues(app)
    assert [run.result(0) for run in runs] == [False, False, False]


def test_a_call_on_commit_is_made_after_the_commit_or_never(app, tasks):
    from django.db import transaction

    from jobistemer.contrib.django import enqueue_on_commit

    with transaction.atomic():
        kept = app.run(enqueue_on_commit(tasks.count_users, "x"))
        with pytest.raises(UnknownRun):
            kept.state()
    assert kept.state() == "pending"
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        lost = app.run(enqueue_on_commit(tasks.count_users, "x"))
        raise ZeroDivisionError
    with pytest.raises(UnknownRun):
        lost.state()
    with pytest.raises(InvalidPayload):
        enqueue_on_commit(tasks.count_users, 5)


def test_the_outbox_stores_calls_in_the_transaction_of_the_orm(app, tasks):
    from django.db import transaction

    with transaction.atomic():
        kept = tasks.outbox.enqueue(tasks.count_users, "x")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        lost = tasks.outbox.enqueue(tasks.count_users, "x")
        raise ZeroDivisionError
    assert tasks.outbox.count() == {"waiting": 1, "refused": 0}
    assert tasks.outbox.relay() == 1
    assert kept.state() == "pending"
    with pytest.raises(UnknownRun):
        lost.state()
    assert tasks.outbox.count() == {"waiting": 0, "refused": 0}


def test_the_relay_ends_although_a_run_that_it_has_sent_begins_to_write_before_it_deletes_the_row(
    app, tasks, monkeypatch
):
    from django.conf import settings
    from django.db import connection

    tasks.outbox.enqueue(tasks.count_users, "x")
    send, others = app.enqueue_many, ExitStack()

    def send_and_begin_to_write(calls):
        sent = send(calls)
        if connection.vendor == "sqlite":
            other = others.enter_context(closing(sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=0)))
            # One writes at a time: with a time-out the run would wait here until the relay has ended.
            with suppress(sqlite3.OperationalError):
                other.execute("BEGIN IMMEDIATE")
        return sent

    monkeypatch.setattr(app, "enqueue_many", send_and_begin_to_write)
    with others:
        assert tasks.outbox.relay() == 1
    assert tasks.outbox.count() == {"waiting": 0, "refused": 0}


def test_the_outbox_keeps_a_row_that_cannot_be_sent(app, tasks):
    from jobistemer.contrib.django.models import OutboxCall

    OutboxCall.objects.create(run_id="x", call="{")
    assert tasks.outbox.relay() == 1
    assert "no call" in OutboxCall.objects.get().error
    assert tasks.outbox.count() == {"waiting": 0, "refused": 1}


def test_a_task_of_django_is_executed_and_its_result_comes_back(app, tasks):
    result = tasks.add.enqueue(2, y=3)
    assert (result.status, result.args, result.kwargs) == ("READY", [2], {"y": 3})
    waiting = tasks.add.get_result(result.id)
    assert (waiting.status, waiting.args, waiting.kwargs) == ("READY", [2], {"y": 3})
    drain_queues(app)
    result.refresh()
    assert (result.status, result.return_value, result.args, result.kwargs) == ("SUCCESSFUL", 5, [2], {"y": 3})
    assert result.attempts == 1
    assert result.enqueued_at <= result.started_at <= result.finished_at


def test_a_task_of_django_knows_its_context_and_goes_to_its_queue(app, tasks):
    result = tasks.describe.enqueue("try")
    assert app.run(result.id).record().place == "mail:7"
    drain_queues(app, queues={"mail": 0})
    assert tasks.describe.get_result(result.id).return_value == "try 1 run_"


def test_a_coroutine_and_a_failure_of_django(app, tasks):
    added, failed = tasks.add_async.enqueue(1, 2), tasks.fail.enqueue()
    drain_queues(app)
    assert tasks.add_async.get_result(added.id).return_value == 3
    result = tasks.fail.get_result(failed.id)
    assert result.status == "FAILED"
    assert result.errors[0].exception_class is ValueError
    assert "no" in result.errors[0].traceback


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "ends"),
    [
        ("fail", ["own"], f"{PROJECT}.tasks.Refused", "Refused: not\nthis time\n"),
        ("fail_async", [], f"{PROJECT}.tasks.Refused", "Refused: not awaited\n"),
        ("leave", [], "builtins.SystemExit", "SystemExit: gone\n"),
        ("return_function", [], "builtins.TypeError", "Unsupported type: <class 'function'>\n"),
    ],
)
def test_what_a_task_of_django_raised_is_known_by_class_and_traceback(app, tasks, name, arguments, kind, ends):
    result = getattr(tasks, name).enqueue(*arguments)
    drain_queues(app)
    result.refresh()
    (error,) = result.errors
    assert (result.status, error.exception_class_path) == ("FAILED", kind)
    assert error.exception_class.__name__ == kind.rpartition(".")[2]
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert error.traceback.endswith(ends)


def test_an_attempt_that_ended_without_an_exception_has_an_error_that_can_be_looked_at(app, tasks):
    result = tasks.add.enqueue("not", y="fitting")
    app.run(result.id).cancel()
    assert tasks.add.get_result(result.id).status == "FAILED"
    # A process that does not know the task checks no payload.
    with Jobistemer(app.namespace.url, namespace=app.namespace.name) as other:
        refused = other.enqueue(f"{PROJECT}.tasks.add", {"args": [1]})
    drain_queues(app)
    (error,) = tasks.add.get_result(refused.id).errors
    assert error.exception_class is RunFailed
    assert "kwargs" in error.traceback


def test_signals_of_django_are_sent_by_the_producer_and_the_worker(app, tasks):
    signals, seen = import_tasks("signals"), []
    names = ("task_enqueued", "task_started", "task_finished")

    def note(name):
        # A failure of a receiver is logged and ends no run.
        def receive(sender, task_result, **_):
            seen.append((name, task_result.task.name, str(task_result.status), task_result.attempts))
            if name == "task_started":
                raise ValueError(name)

        return receive

    receivers = {name: note(name) for name in names}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)
    try:
        added = tasks.add.enqueue(1, 2)
        drain_queues(app)
        tasks.add_async.enqueue(1, 2)
        drain_queues(app)
        tasks.fail.enqueue()
        drain_queues(app)
    finally:
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)
    assert tasks.add.get_result(added.id).return_value == 3
    assert seen == [
        (name, task, state, count)
        for task, end in (("add", "SUCCESSFUL"), ("add_async", "SUCCESSFUL"), ("fail", "FAILED"))
        for name, state, count in zip(names, ("READY", "RUNNING", end), (0, 1, 1), strict=True)
    ]


def test_a_result_is_the_same_when_it_is_read_again(app, tasks):
    result = tasks.add.enqueue(2, 3)
    assert tasks.add.get_result(result.id) == result


def test_a_task_of_django_waits_for_its_time(app, tasks):
    at = datetime.now(UTC) + timedelta(hours=1)
    result = tasks.add.using(run_after=at, priority=-100).enqueue(1, 1)
    record = app.run(result.id).record()
    assert (record.state, record.place) == ("scheduled", "default:0")
    assert asyncio.run(tasks.add.aget_result(result.id)).status == "READY"


def test_what_django_refuses_is_refused_in_its_words(app, tasks):
    exceptions = import_tasks("exceptions")
    invalid_task = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError

    with pytest.raises(invalid_task):
        tasks.add.using(queue_name="nowhere")
    with pytest.raises(TypeError):
        tasks.add.enqueue(object(), 1)
    with pytest.raises(exceptions.TaskResultDoesNotExist):
        tasks.add.get_result("nothing")
    with pytest.raises(exceptions.TaskResultMismatch):
        tasks.add.get_result(tasks.fail.enqueue().id)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("redis://x", "allowed is a dictionary"),
        ({"URI": "x"}, "has 'URI'; known are URL"),
        ({"DEFAULTS": 5}, "allowed are options by name"),
        ({"DEFAULTS": {"queues": 5}}, "queues"),
        ({"URL": 5}, "url is 5"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(project, given, message):
    from django.test import override_settings

    from jobistemer.contrib.django.project import get_app

    with override_settings(JOBISTEMER=given), pytest.raises(Misconfigured, match=message):
        get_app.__wrapped__()


def test_no_migration_is_missing(project):
    from django.core.management import call_command

    call_command("makemigrations", "jobistemer", check=True, dry_run=True, verbosity=0)


def test_the_admin_leads_to_the_dashboard_and_shows_stored_calls(client):
    page = client.get("/admin/").content.decode()
    assert "/admin/jobistemer/dashboardlink/" in page
    assert client.get("/admin/jobistemer/dashboardlink/").url == "/staff/jobs/"
    assert client.get("/admin/jobistemer/outboxcall/").status_code == 200
    assert client.get("/admin/jobistemer/outboxcall/add/").status_code == 403


def test_the_dashboard_is_behind_the_login_of_the_admin(app, client):
    from django.contrib.auth.models import User
    from django.test import Client

    anonymous = Client().get("/staff/jobs/jobs?part=a")
    assert (anonymous.status_code, anonymous["location"]) == (
        302,
        "/admin/login/?next=/staff/jobs/jobs%3Fpart%3Da",
    )
    visitor = Client()
    visitor.force_login(User.objects.create_user("bob", password="secret"))
    assert visitor.get("/staff/jobs/").status_code == 403
    page = client.get("/staff/jobs/")
    assert page.status_code == 200
    assert 'href="/staff/jobs/queues"' in page.content.decode()
    assert page["Content-Security-Policy"].startswith("default-src 'none'")
    assert page["X-Frame-Options"] == "DENY"
    assert client.get("/staff/jobs/static/dashboard.css").status_code == 200
    assert client.get("/staff/jobs/nowhere").status_code == 404
    assert client.get("/staff/jobs/", HTTP_HOST="elsewhere.example").status_code == 400


def test_an_action_on_the_dashboard_is_on_record_with_the_name_of_the_user(app, client):
    mark = re.search(r'name="csrf" value="([^"]+)"', client.get("/staff/jobs/queues").content.decode())[1]

    def send(mark, origin):
        form = urlencode({"target": "mail", "csrf": mark, "back": "/staff/jobs/queues"})
        kind = "application/x-www-form-urlencoded"
        return client.post("/staff/jobs/actions/pause-queue", form, content_type=kind, HTTP_ORIGIN=origin)

    assert send("wrong", "http://testserver").status_code == 403
    assert send(mark, "https://elsewhere.example").status_code == 403
    answer = send(mark, "http://testserver")
    assert (answer.status_code, answer["location"]) == (303, "/staff/jobs/queues")
    assert "mail is paused" in client.get("/staff/jobs/queues").content.decode()
    app.queues.resume("mail")
    assert ("ann", "mail") in {(change.by, change.target) for change in ChangeList(app.namespace).list()}


def test_a_signed_link_opens_its_question_for_one_who_has_no_login(app, client):
    from django.test import Client

    run, stranger = ask_someone(app), Client()

    def get(path):
        answer = stranger.get(path)
        return answer.status_code, answer.content.decode(errors="replace") if not answer.streaming else ""

    def post(path, form):
        kind = "application/x-www-form-urlencoded"
        return stranger.post(path, urlencode(form), content_type=kind, HTTP_ORIGIN="http://testserver").status_code

    answer_by_link(client.get("/staff/jobs/questions").content.decode(), get, post)
    drain_queues(app)
    assert run.result() == "ops said True"
    change = ChangeList(app.namespace).list()[0]
    assert (change.what, change.by) == ("answer run", "ops")


def test_the_dashboard_is_served_by_asgi_too_and_may_refuse_actions(app, admin_user):
    import httpx2 as httpx
    from django.core.asgi import get_asgi_application
    from django.test import Client, RequestFactory

    from jobistemer.contrib.django.dashboard import show_dashboard

    client = Client()
    client.force_login(admin_user)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(get_asgi_application())
        cookies = {"sessionid": client.cookies["sessionid"].value}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", cookies=cookies) as browser:
            return await browser.get("/staff/jobs/")

    assert "/staff/jobs/queues" in asyncio.run(get()).text
    request = RequestFactory().post("/x/actions/pause-queue", {"target": "mail"})
    request.user = admin_user
    answer = show_dashboard(request, "actions/pause-queue", read_only=True)
    assert (answer.status_code, b"read-only" in answer.content) == (403, True)


def test_the_staff_may_look_and_act_by_its_permissions(app):
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    def ask(*permissions):
        User.objects.all().delete()
        user = User.objects.create_user("eve", password="secret", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        visitor = Client()
        visitor.force_login(user)
        return visitor.get("/staff/jobs/queues"), visitor.post("/staff/jobs/actions/pause-queue", {"target": "mail"})

    assert [each.status_code for each in ask()] == [403, 403]
    looked, acted = ask("view_dashboardlink")
    assert (looked.status_code, b"read-only" in acted.content) == (200, True)
    looked, acted = ask("change_dashboardlink")
    # Without the mark of a form it is refused, but not for want of a permission.
    assert (looked.status_code, acted.status_code, b"read-only" in acted.content) == (200, 403, False)


def test_call_command_runs_commands_with_their_options_and_raises_for_those_that_fail(app, capsys, monkeypatch):
    from django.core.management import CommandError, call_command

    for variable in ("JOBISTEMER_APP", "JOBISTEMER_NAMESPACE"):
        monkeypatch.setenv(variable, "elsewhere")
    monkeypatch.setenv("JOBISTEMER_URL", "redis://127.0.0.1:1/0")
    call_command("jobistemer", "queue", "list", "--json")
    assert json.loads(capsys.readouterr().out)["total"] >= 0
    with pytest.raises(CommandError, match="No such command") as raised:
        call_command("jobistemer", "nonsense")
    assert raised.value.returncode == 2
    with pytest.raises(CommandError, match="is not on record") as raised:
        call_command("jobistemer", "run", "show", "run_1")
    assert raised.value.returncode == 1


@pytest.mark.parametrize("typed", ["n\n", ""])
def test_call_command_raises_for_a_command_that_was_not_confirmed(app, monkeypatch, typed):
    from django.core.management import CommandError, call_command

    for variable in ("JOBISTEMER_APP", "JOBISTEMER_NAMESPACE", "JOBISTEMER_URL"):
        # Restored after the test, as above.
        monkeypatch.setenv(variable, "elsewhere")
    app.enqueue("unknown", queue="kept")
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    with pytest.raises(CommandError, match="queue purge kept was not confirmed") as raised:
        call_command("jobistemer", "queue", "purge", "kept")
    assert raised.value.returncode == 1
    purged = QueueControl(app.namespace).purge("kept")
    assert purged == 1


def test_options_of_django_are_not_handed_on(app, capsys, monkeypatch):
    from django.core.management import ManagementUtility

    for variable in ("JOBISTEMER_APP", "JOBISTEMER_NAMESPACE", "JOBISTEMER_URL"):
        # Restored after the test: a command says to the processes that it starts what the project says.
        monkeypatch.setenv(variable, "elsewhere")

    with pytest.raises(SystemExit) as ended:
        ManagementUtility(
            ["manage.py", "jobistemer", "queue", "list", f"--settings={PROJECT}.settings", "--json"]
        ).execute()
    assert (ended.value.code, "total" in capsys.readouterr().out) == (0, True)


@pytest.mark.slow
@pytest.mark.process
def test_commands_of_manage_py_run_the_roles_with_django_set_up(tmp_path):
    with running(VALKEY, tmp_path) as url:
        environment = {
            "DJANGO_SETTINGS_MODULE": f"{PROJECT}.settings",
            "DJANGO_TEST_FOLDER": str(tmp_path),
            "DJANGO_TEST_SERVER": url,
            "PYTHONPATH": str(ROOT),
        }
        manage = lambda *arguments: Process(  # noqa: E731 - one line
            *arguments, folder=tmp_path, environment=environment, command=("-m", "django")
        )
        with manage("migrate", "-v", "0") as migrate:
            assert migrate.ends() == 0, migrate.text
        with manage("jobistemer", "deploy", "--yes") as deploy:
            assert deploy.ends() == 0, deploy.text
        with manage("jobistemer", "enqueue", "count_users", "{}") as enqueue:
            assert enqueue.ends() == 0, enqueue.text
        with manage("jobistemer", "worker", "-c", "2", "--max-runs", "1") as worker:
            assert worker.ends() == 0, worker.text
        with manage("jobistemer", "run", "list", "--state", "succeeded") as listed:
            assert listed.ends() == 0, listed.text
            assert "count_users" in listed.text
        with manage("jobistemer", "nonsense") as wrong:
            assert wrong.ends() == 2
            assert "No such command 'nonsense'" in wrong.text


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(find_binaries() is None, reason="PostgreSQL is not installed; .ci/run installs it")
@pytest.mark.skipif("DJANGO_TEST_POSTGRES" in os.environ, reason="this is that process")
def test_all_of_it_holds_on_postgresql():
    with running_postgres(find_binaries()) as postgres:
        # All of its tests, whichever part this process runs.
        environment = {**os.environ, "DJANGO_TEST_POSTGRES": str(postgres.port), "JOBISTEMER_TEST_PART": ""}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not process", __file__]
        found = subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout[-3000:]
        assert found.stdout.count(".") > 15
