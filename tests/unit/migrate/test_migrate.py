"""Applications of other engines become modules that can be imported, and every difference of fire times is named."""

from __future__ import annotations

import json
import sys
from itertools import count

import pytest
from click.testing import CliRunner

from jobistemer.cli import main

SINCE = "2026-11-30T12:00:00Z"
_numbers = count()


@pytest.fixture
def migrate(tmp_path, monkeypatch):
    """Writes a module of an application, migrates it, and imports what came out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(engine, source, target="", *, code=0):
        name = f"moved_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        arguments = ["migrate", engine, f"{name}{target}", "--from", SINCE, "--json"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == code, result.output
        answer = json.loads(result.stdout)
        (tmp_path / f"{name}_jobs.py").write_text(answer["module"], "utf-8")
        module = __import__(f"{name}_jobs")
        jobs = {job.name: job for job in module.app.jobs()}
        comparisons = {each["job"]: each for each in answer["comparisons"]}
        remarks = {
            (each["subject"].replace(f"{name}.", ""), each["verdict"]): each["text"] for each in answer["remarks"]
        }
        return module.app, jobs, comparisons, remarks

    yield run
    for name in [name for name in sys.modules if name.startswith("moved_")]:
        del sys.modules[name]


CELERY = """
from datetime import timedelta
from celery import Celery, shared_task
from celery.schedules import crontab, schedule

class Sun(schedule):
    pass

app = Celery("shop", broker="redis://127.0.0.1:1/0")
app.conf.update(timezone="Europe/Berlin", task_routes={"*.mail": {"queue": "mail"}})

@app.task(autoretry_for=(ConnectionError,), retry_backoff=2, max_retries=5, rate_limit="10/m", time_limit=60)
def mail(to: str, subject="hi"):
    return to

@app.task(bind=True, max_retries=3)
def charge(self, order):
    return order

@shared_task(acks_late=True, time_limit=5)
def report(day="today", *, deep: bool = False):
    return day

@app.task
def tail(*paths):
    return paths

@app.on_after_configure.connect
def nothing(sender, **kwargs):
    @sender.task
    def inner():
        pass

app.conf.beat_schedule = {
    "nightly": {"task": f"{__name__}.report", "schedule": crontab(minute=30, hour=2), "kwargs": {"deep": True}},
    "work": {
        "task": f"{__name__}.mail",
        "schedule": crontab(minute="*/30", hour="8-18", day_of_week="mon-fri"),
        "args": ("a@b",),
        "options": {"queue": "slow", "expires": 60},
    },
    "first monday": {"task": f"{__name__}.report", "schedule": crontab(0, 6, day_of_month="1-7", day_of_week="mon")},
    "often": {"task": f"{__name__}.report", "schedule": timedelta(seconds=30)},
    "sunset": {"task": f"{__name__}.report", "schedule": Sun(5)},
    "gone": {"task": "nothing", "schedule": 5.0},
    "unfit": {"task": f"{__name__}.report", "schedule": crontab(0, 0), "args": (1, 2, 3)},
}
"""


def test_a_celery_application_becomes_tasks_and_jobs(migrate):
    app, jobs, comparisons, remarks = migrate("celery", CELERY, ":app", code=1)
    mail = next(handler for name, handler in app.handlers.items() if name.endswith(".mail"))
    assert (mail.options.queue, mail.options.timeout_s) == ("mail", 60.0)
    assert (mail.options.retry.max_retries, mail.options.retry.first_s) == (5, 2.0)
    assert mail.options.limits[0].most == 10
    assert jobs["nightly"].schedule.timezone == "Europe/Berlin"
    assert bytes(jobs["nightly"].tasks[0].payload) == b'{"deep":true}'
    assert jobs["work"].tasks[0].options.queue == "slow"
    assert jobs["often"].schedule.expression == "PT30S"
    assert comparisons["work"]["differences"] == []
    assert comparisons["first-monday"]["differences"] == []
    assert comparisons["first-monday"]["compared"] == 14
    # At the change in spring Celery's beat is an hour late; nothing else differs.
    assert {each["at"][:10] for each in comparisons["nightly"]["differences"]} == {"2027-03-28"}
    assert "follows" not in remarks["schedule 'sunset'", "no equal"]
    assert "own" in remarks["schedule 'sunset'", "no equal"]
    assert "not in the application" in remarks["schedule 'gone'", "no equal"]
    assert "do not fit" in remarks["schedule 'unfit'", "no equal"]
    assert "*paths" in remarks["tail", "no equal"]
    assert "all workers together" in remarks["mail", "differs"] or "executed again" in remarks["mail", "differs"]
    assert not {"sunset", "gone", "unfit"} & set(jobs)


def test_a_task_of_celery_is_executed_by_the_function_itself(migrate):
    app, *_ = migrate("celery", CELERY, ":app", code=1)
    report = next(handler for name, handler in app.handlers.items() if name.endswith(".report"))
    assert report.function(day="monday") == "monday"


CELERY_CLASSES = """
from celery import Celery, Task
from celery.schedules import crontab

class Wrapping(Task):
    def __call__(self, *args, **kwargs):
        return "wrapped", super().__call__(*args, **kwargs)

    def on_failure(self, *given):
        pass

app = Celery("shop", broker="redis://127.0.0.1:1/0", task_cls=Wrapping)

@app.task
def add(x: int, y: int = 2):
    return x + y

@app.task(base=Task)
def loose(day, **rest):
    return day, rest

@app.task(base=Task)
def loose_positions(*days, **rest):
    pass

class Model:
    pass

@app.task
def looked_up(order: Model | int):
    return order

@app.task(base=Task)
def unreadable(order: Model | int):
    return order

@app.task
def lax(day, since=object()):
    pass

class View:
    def __init_subclass__(cls):
        def work(self, n: int):
            return cls.__name__, n
        cls.work = app.task(bind=True, name=f"{__name__}.{cls.__name__}.work", base=Task)(work)

    @staticmethod
    @app.task(base=Task)
    def refresh(event: int):
        return event

class Cart(View):
    pass

app.conf.beat_schedule = {
    "fits": {"task": f"{__name__}.loose", "schedule": crontab(0, 0), "kwargs": {"day": 1}},
    "unfit": {"task": f"{__name__}.loose", "schedule": crontab(0, 0), "kwargs": {"day": 1, "more": 2}},
}
"""


def test_a_task_of_celery_is_called_as_its_class_does(migrate):
    app, jobs, _, remarks = migrate("celery", CELERY_CLASSES, ":app", code=1)
    tasks = {name.partition(".")[2]: handler.function for name, handler in app.handlers.items()}
    assert tasks["add"](x=1) == ("wrapped", 3)
    assert tasks["loose"](day=1) == (1, {})
    assert tasks["looked_up"](order=8) == ("wrapped", 8)
    assert "cannot be read from JSON" in remarks["unreadable", "no equal"]
    assert tasks["Cart.work"](n=4) == ("Cart", 4)
    assert tasks["refresh"](event=5) == 5
    assert (
        "the class Wrapping has a __call__ of its own" in remarks["add", "differs"]
        or "acks_late" in remarks["add", "differs"]
    )
    assert "on_failure of the class Wrapping are not called" in remarks["add", "no equal"]
    assert "*days" in remarks["loose_positions", "no equal"]
    assert "no literal" in remarks["lax", "no equal"] or "on_failure" in remarks["lax", "no equal"]
    assert "lax" not in tasks
    assert set(jobs) == {"fits"}
    assert "more are among the **kwargs" in remarks["schedule 'unfit'", "no equal"]


APSCHEDULER = """
from datetime import datetime, timezone
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

scheduler = BackgroundScheduler(timezone="Europe/Berlin")

def sync(tenant, full=False):
    pass

def tick():
    pass

def add(*given, **options):
    scheduler.add_job(*given, **options)

class Jittered(DateTrigger):
    jitter = 3

Jittered.__name__ = "DateTrigger"
add(sync, "cron", args=["a"], hour=2, minute=30, id="nightly")
add(sync, "cron", args=["a"], day_of_week="mon-fri", hour="8-18/2", minute="0,30", id="work", max_instances=3)
add(tick, "cron", day="last", hour=23, id="month-end")
add(tick, "cron", day="3rd fri", hour=23, id="third-friday")
add(tick, "cron", day="last sun", hour=23, id="last-sunday")
add(tick, "cron", day="1-7", day_of_week="sun", id="first-sunday")
add(tick, "cron", year="2027", month="jan-mar", second="*/20", hour=1, minute=5, id="seconds")
add(tick, "cron", week=3, id="week")
add(tick, "interval", hours=7, start_date="2026-12-01", id="seven")
add(tick, "interval", hours=7, jitter=5, id="jittered")
add(tick, "date", run_date=datetime(2027, 1, 1, tzinfo=timezone.utc), id="once")
add(tick, Jittered(datetime(2027, 1, 1, tzinfo=timezone.utc)), id="moved-date")
add(lambda: 1, "interval", minutes=7, id="lambda")

def loose(day, **rest):
    pass

def unreadable(order: scheduler.__class__ | int):
    pass

add(loose, "cron", kwargs={"day": 1}, hour=3, id="loose")
add(loose, "cron", kwargs={"day": 1, "more": 2}, hour=3, id="looser")
add(unreadable, "cron", args=[1], hour=3, id="unreadable")
"""


def test_the_jobs_of_apscheduler_have_the_same_instants(migrate):
    _, jobs, comparisons, remarks = migrate("apscheduler", APSCHEDULER, ":scheduler", code=1)
    assert set(jobs) == {
        *(
            "nightly",
            "work",
            "month-end",
            "third-friday",
            "last-sunday",
            "first-sunday",
            "seconds",
            "seven",
            "jittered",
        ),
        *("once", "loose"),
    }
    same = ("work", "month-end", "third-friday", "last-sunday", "first-sunday", "seconds", "seven", "once")
    for name in same:
        assert comparisons[name]["differences"] == [], name
        assert comparisons[name]["compared"] > 0, name
    days = {each["at"][:10] for each in comparisons["nightly"]["differences"]}
    assert days <= {"2027-03-28", "2027-10-31"}
    assert jobs["work"].overlap == "allow"
    assert jobs["jittered"].schedule.jitter == 5
    assert "jittered" not in comparisons
    texts = " ".join(text for (_, verdict), text in remarks.items() if verdict == "no equal")
    assert "jitter=3" in texts or "week" in texts
    assert "lambda" in texts
    assert "more are among the **kwargs" in texts
    assert "cannot be read from JSON" in texts


ARQ = """
from arq import cron, func

async def download(ctx, url: str, depth=1):
    return [ctx, url, depth]

async def clean(ctx):
    pass

async def many(ctx, *rest):
    pass

async def loose(ctx, day: int, **rest):
    return day, rest

class WorkerSettings:
    functions = [download, func(clean, max_tries=1, timeout=10), many, loose]
    cron_jobs = [
        cron(clean, hour={9, 12, 18}, minute=12),
        cron(clean, name="weekly", weekday="mon", hour=2, minute=30, run_at_startup=True),
    ]
"""


async def _call(app, name, **arguments):
    return await app.handlers[name].function(**arguments)


def test_functions_of_arq_get_the_dictionary_that_they_expect(migrate):
    import asyncio

    app, jobs, comparisons, remarks = migrate("arq", ARQ, ":WorkerSettings", code=1)
    assert asyncio.run(_call(app, "download", url="x")) == [{}, "x", 1]
    assert set(jobs) == {"clean-schedule", "weekly"}
    assert comparisons["clean"]["differences"] == comparisons["weekly"]["differences"] == []
    assert app.handlers["clean"].options.timeout_s == 10.0
    assert "run_at_startup" in remarks["schedule 'weekly'", "no equal"]
    assert ("many", "no equal") in remarks
    assert asyncio.run(_call(app, "loose", day=1)) == (1, {})
    assert ("loose", "differs") in remarks


RQ = """
from rq import Retry, cron
from rq.decorators import job

@job("low", connection=None, timeout=30, retry=Retry(max=3, interval=[10, 60]))
def resize(path: str, width=100):
    return path

def report(kind):
    return kind

cron.register(report, "reports", args=("daily",), cron="30 6 * * *")
cron.register(report, "reports", kwargs={"kind": "x"}, interval=60)

def loose(kind, **rest):
    return kind

cron.register(loose, "reports", kwargs={"kind": "x"}, interval=60)
"""


def test_functions_and_schedules_of_rq(migrate):
    app, jobs, comparisons, _ = migrate("rq", RQ)
    assert app.handlers["resize"].options.queue == "low"
    assert app.handlers["resize"].options.retry.seconds == (10.0, 60.0, 60.0)
    assert jobs["report"].tasks[0].options.queue == "reports"
    assert jobs["report-2"].schedule.expression == "PT1M"
    assert app.handlers["loose"].function(kind="x") == "x"
    assert comparisons["report"]["compared"] == 400
    assert comparisons["report"]["differences"] == []


def test_a_crontab_becomes_a_module_of_shell_jobs(migrate, tmp_path):
    (tmp_path / "crontab").write_text("CRON_TZ=Europe/Berlin\n30 2 * * * backup --all\n@reboot x\n", "utf-8")
    result = CliRunner().invoke(main, ["migrate", "crontab", "crontab", "-o", "moved_cron.py", "--report", "report.md"])
    assert result.exit_code == 1, result.output
    module = __import__("moved_cron")
    (job,) = module.app.jobs()
    assert json.loads(bytes(job.tasks[0].payload)) == {"command": "backup --all"}
    assert "@reboot names no instant" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["celery", "no_such_module:app"], "cannot be imported: ModuleNotFoundError"),
        (["celery", "json:app"], "has no 'app'"),
        (["celery", "json:dumps"], "expected is a Celery application"),
        (["celery", ""], "names no module"),
        (["apscheduler", "json:dumps"], "expected is a scheduler"),
        (["arq", "json:JSONDecoder"], "neither functions nor cron_jobs"),
        (["rq", "json"], "neither functions with RQ's @job"),
        (["crontab", "/no/such/file"], "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(arguments, message):
    result = CliRunner().invoke(main, ["migrate", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_module_that_ends_the_process_is_named(migrate, tmp_path):
    (tmp_path / "moved_exit.py").write_text("raise SystemExit(3)", "utf-8")
    result = CliRunner().invoke(main, ["migrate", "rq", "moved_exit"])
    assert result.exit_code == 2
    assert "SystemExit: 3" in result.output


def test_a_file_that_exists_is_not_replaced(migrate, tmp_path):
    (tmp_path / "jobs.py").write_text("mine", "utf-8")
    result = CliRunner().invoke(main, ["migrate", "rq", "json", "-o", "jobs.py"])
    assert result.exit_code == 2
    assert "'jobs.py' exists" in result.output
    assert (tmp_path / "jobs.py").read_text("utf-8") == "mine"
