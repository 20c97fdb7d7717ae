"""Flask: runs have an application context, views have the app, and `flask jobistemer …` runs its roles."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import textwrap

import pytest
from flask import Flask, current_app, g, redirect, request

from jobistemer import NO_RETRIES, Jobistemer, Misconfigured
from jobistemer.contrib.flask import FlaskJobistemer, get_jobistemer, mount_dashboard
from jobistemer.control.changes import ChangeList
from tests.support.apps import drain_queues, empty_app
from tests.support.processes import Process
from tests.support.questions import answer_by_link, ask_someone
from tests.support.servers import VALKEY, running


@pytest.fixture
def jobs(server_url):
    return empty_app(server_url)


def make_flask(name="shop", **options):
    flask = Flask(name, **options)
    flask.config["SHOP"] = name
    flask.seen = []

    @flask.teardown_appcontext
    def teardown(error):
        flask.seen.append((getattr(g, "number", None), repr(error)))

    return flask


def declare(jobs):
    @jobs.task(retry=NO_RETRIES)
    def plain(number: int) -> str:
        g.number = number
        if number < 0:
            raise ValueError("negative")
        return current_app.config["SHOP"]

    @jobs.task
    async def later(number: int) -> str:
        g.number = number
        await asyncio.sleep(0.01)
        return f"{current_app.config['SHOP']} {g.number}"

    return plain, later


def test_each_run_has_an_application_context_of_its_own(jobs):
    plain, later = declare(jobs)
    flask = make_flask()
    FlaskJobistemer(jobs, flask)
    runs = [plain.enqueue(1), *(later.enqueue(number) for number in (2, 3, 4))]
    drain_queues(jobs, concurrency=4)
    assert [run.result(timeout=60) for run in runs] == ["shop", "shop 2", "shop 3", "shop 4"]
    assert sorted(flask.seen) == [(number, "None") for number in (1, 2, 3, 4)]


def test_what_is_torn_down_sees_the_exception_of_the_attempt(jobs):
    plain, _ = declare(jobs)
    flask = make_flask()
    FlaskJobistemer(jobs, flask)
    run = plain.enqueue(-1)
    drain_queues(jobs)
    assert run.state() == "dead"
    assert flask.seen == [(-1, "ValueError('negative')")]


def test_a_factory_may_be_called_again_and_the_last_application_counts(jobs):
    plain, _ = declare(jobs)
    extension = FlaskJobistemer(jobs)
    run = plain.enqueue(1)
    drain_queues(jobs)
    assert "runs where no Flask application was made" in run.record().error
    for name in ("first", "second"):
        extension.init_app(make_flask(name))
    run = plain.enqueue(1)
    drain_queues(jobs)
    assert run.result(timeout=60) == "second"


def test_a_view_enqueues(jobs):
    declare(jobs)
    flask = make_flask()
    FlaskJobistemer(jobs, flask)

    @flask.post("/orders")
    def place():
        return {"run": get_jobistemer().enqueue("plain", {"number": 7}).id}

    run = flask.test_client().post("/orders").json["run"]
    drain_queues(jobs)
    assert jobs.run(run).result(timeout=60) == "shop"
    with make_flask().app_context(), pytest.raises(Misconfigured, match=r"init_app\(app\)"):
        get_jobistemer()
    with pytest.raises(Misconfigured, match=r"allowed is the object: app = Jobistemer\(\)"):
        FlaskJobistemer(flask)


SHOP = """
    from flask import Flask, current_app

    from jobistemer import Jobistemer
    from jobistemer.contrib.flask import FlaskJobistemer

    jobs = Jobistemer()
    extension = FlaskJobistemer(jobs)


    def create_app():
        app = Flask("shop")
        app.config["SHOP"] = "by the factory"
        extension.init_app(app)
        return app


    @jobs.task(executor="process")
    def apart() -> str:
        return current_app.config["SHOP"]


    @jobs.task
    def here() -> str:
        return current_app.config["SHOP"]


    @jobs.job("0 0 1 1 *")
    def yearly() -> None: ...
"""


def test_the_dashboard_is_shown_to_those_whom_the_application_lets_in(jobs):
    flask, users = make_flask(), {}
    authorize = lambda: users.get(request.headers.get("X-Visitor"))  # noqa: E731 - one line
    mount_dashboard(flask, "/admin/jobs", jobs, authorize=authorize, hosts=["shop.example"])
    jobs.enqueue("welcome")
    users |= {"ann": "ann", "new": redirect("/login")}

    def ask(path, visitor, base="http://shop.example", **fields):
        given = {"headers": {"X-Visitor": visitor}, "base_url": base}
        return client.post(path, data=fields, **given) if fields else client.get(path, **given)

    client = flask.test_client()
    page = ask("/admin/jobs/queues", "ann")
    assert (page.status_code, 'href="/admin/jobs/workers"' in page.text) == (200, True)
    assert ask("/admin/jobs/static/dashboard.css", "ann").status_code == 200
    assert ask("/admin/jobs/", "eve").status_code == 403
    assert ask("/admin/jobs/", "new").location == "/login"
    assert ask("/admin/jobs", "ann").status_code == 308
    assert ask("/admin/jobs/", "ann", base="http://elsewhere.example").status_code == 400
    # Under a prefix of the server, such as SCRIPT_NAME of gunicorn.
    assert 'href="/site/admin/jobs/workers"' in ask("/admin/jobs/", "ann", base="http://shop.example/site").text
    mark = re.search(r'name="csrf" value="([^"]+)"', ask("/admin/jobs/queues", "ann").text)[1]
    target = {"target": "default", "back": "/admin/jobs/queues"}
    assert ask("/admin/jobs/actions/pause-queue", "ann", csrf="wrong", **target).status_code == 403
    assert ask("/admin/jobs/actions/pause-queue", "ann", csrf=mark, **target).status_code == 303
    assert [(change.by, change.target) for change in ChangeList(jobs.namespace).list()] == [("ann", "default")]


def test_a_signed_link_opens_its_question_for_one_whom_the_application_does_not_let_in(jobs):
    flask, run = make_flask(), ask_someone(jobs)
    visitors = {"X-Visitor": "ann"}
    authorize = lambda: request.headers.get("X-Visitor")  # noqa: E731 - one line
    mount_dashboard(flask, "/admin/jobs", jobs, authorize=authorize, hosts=["shop.example"])
    given = {"base_url": "http://shop.example"}
    page = flask.test_client().get("/admin/jobs/questions", headers=visitors, **given).text
    stranger = flask.test_client()

    def get(path):
        answer = stranger.get(path, **given)
        return answer.status_code, answer.text

    answer_by_link(page, get, lambda path, form: stranger.post(path, data=form, **given).status_code)
    drain_queues(jobs)
    assert run.result() == "ops said True"
    change = ChangeList(jobs.namespace).list()[0]
    assert (change.what, change.by) == ("answer run", "ops")


def test_a_dashboard_may_be_all_of_a_site_and_a_second_one_has_a_name_of_its_own(jobs):
    flask = make_flask(static_folder=None)
    given = {"authorize": lambda: "ann", "hosts": ["shop.example"]}
    mount_dashboard(flask, "/", jobs, **given)
    with pytest.raises(Misconfigured, match="is taken: give this dashboard another one"):
        mount_dashboard(flask, "/look", jobs, read_only=True, **given)
    mount_dashboard(flask, "/look", jobs, read_only=True, endpoint="look", **given)
    client = flask.test_client()
    for prefix in ("", "/look"):
        page = client.get(f"{prefix}/", base_url="http://shop.example").text
        assert f'href="{prefix}/workers"' in page
        (sheet,) = re.findall(r'href="([^"]+\.css[^"]*)"', page)
        assert client.get(sheet, base_url="http://shop.example").status_code == 200, sheet


@pytest.mark.parametrize(
    ("path", "static"),
    [
        *(("/", {}), ("/jobs", {"static_url_path": "/jobs/static"}), ("/", {"static_url_path": "/"})),
        *(("/", {"static_url_path": "/runs"}), ("/", {"static_url_path": "/jobs/files"})),
        ("/admin/jobs", {"static_url_path": "/admin/jobs/jobs"}),
    ],
)
def test_a_dashboard_that_the_static_files_of_flask_would_hide_is_refused(jobs, path, static):
    flask = make_flask(**static)
    with pytest.raises(Misconfigured, match=r"static_folder=None.* or give the dashboard another path"):
        mount_dashboard(flask, path, jobs, authorize=lambda: "ann")
    assert "jobistemer_dashboard" not in flask.view_functions


@pytest.mark.parametrize(
    ("path", "static"), [("/", "/files"), ("/jobs", "/"), ("/jobs", "/static"), ("/jobs", "/jobs/file")]
)
def test_a_dashboard_has_its_style_sheet_where_the_static_files_of_flask_are_elsewhere(jobs, path, static):
    flask = make_flask(static_url_path=static)
    mount_dashboard(flask, path, jobs, authorize=lambda: "ann", hosts=["shop.example"])
    sheet = f"{path.rstrip('/')}/static/dashboard.css"
    assert flask.test_client().get(sheet, base_url="http://shop.example").status_code == 200


@pytest.mark.parametrize("path", ["/", "/jobs"])
@pytest.mark.parametrize("base_url", ["http://shop.example", "http://localhost:5000"])
def test_a_dashboard_is_found_where_flask_matches_hosts_and_has_its_static_files_on_one(jobs, path, base_url):
    flask = make_flask(host_matching=True, static_host="files.example")
    mount_dashboard(flask, path, jobs, authorize=lambda: "ann", hosts=["shop.example"])
    client = flask.test_client()
    page = client.get(f"{path.rstrip('/')}/", base_url=base_url)
    assert page.status_code == 200
    (sheet,) = re.findall(r'href="([^"]*\.css[^"]*)"', page.text)
    assert client.get(sheet, base_url=base_url).status_code == 200
    assert client.get(f"{path.rstrip('/')}/", base_url="http://evil.example").status_code == 400


def test_a_dashboard_on_the_host_of_the_static_files_is_refused_where_they_would_hide_it(jobs):
    flask = make_flask(host_matching=True, static_host="shop.example")
    with pytest.raises(Misconfigured, match=r"static_folder=None.* or give the dashboard another path"):
        mount_dashboard(flask, "/", jobs, authorize=lambda: "ann", hosts=["Shop.example"])


def test_commands_look_where_the_application_does_whatever_the_environment_says(jobs, monkeypatch):
    for variable in ("JOBISTEMER_APP", "JOBISTEMER_NAMESPACE"):
        monkeypatch.setenv(variable, "elsewhere")
    monkeypatch.setenv("JOBISTEMER_URL", "redis://127.0.0.1:1/0")
    flask = make_flask()
    FlaskJobistemer(jobs).init_app(flask)
    result = flask.test_cli_runner().invoke(args=["jobistemer", "queue", "list"])
    assert (result.exit_code, os.environ["JOBISTEMER_URL"]) == (0, jobs.namespace.url), result.output
    # And they say so: nobody has set these variables.
    assert "URL from the app jobistemer.contrib.flask:app" in result.output


def test_a_dashboard_without_a_check_of_users_is_refused(jobs):
    with pytest.raises(Misconfigured, match="allowed is a function"):
        mount_dashboard(make_flask(), "/jobs", jobs, authorize="ann")


@pytest.mark.slow
@pytest.mark.process
def test_commands_of_flask_deploy_and_run_workers_whose_processes_have_the_application_too(tmp_path):
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP))
    flask = ("-m", "flask", "--app", "shop:create_app", "jobistemer")
    with running(VALKEY, tmp_path) as server, Jobistemer(server) as jobs:
        environment = {"JOBISTEMER_URL": server}
        runs = [jobs.enqueue("here"), jobs.enqueue("apart")]
        with Process("deploy", folder=tmp_path, environment=environment, command=flask) as deploy:
            assert deploy.ends() == 0, deploy.text
        assert jobs.control.find("yearly")
        arguments = ("worker", "-c", "2", "--processes", "1")
        with Process(*arguments, folder=tmp_path, environment=environment, command=flask) as worker:
            worker.says("started: 2 slots")
            assert [run.result(timeout=60) for run in runs] == ["by the factory"] * 2
            worker.send(signal.SIGTERM)
            assert worker.ends() == 0, worker.text
        with Process("workers", "list", folder=tmp_path, environment=environment, command=flask) as listed:
            assert listed.ends() == 0, listed.text
        with Process("wrker", folder=tmp_path, environment=environment, command=flask) as wrong:
            assert wrong.ends() == 2
            assert "Did you mean worker or workers" in wrong.text
