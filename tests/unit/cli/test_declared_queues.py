"""Without -Q a worker serves the queues that its app declares."""

from jobistemer import Concurrency, Jobistemer, Options
from jobistemer.app.declared_queues import find_declared_queues


def test_an_app_of_one_queue_has_that_one_and_no_weights():
    app = Jobistemer("fake://queues")
    app.task(lambda: None, name="plain")
    assert find_declared_queues(app) == {"default": 0}


def test_the_queues_of_tasks_jobs_defaults_and_limits_are_served_in_turn():
    app = Jobistemer("fake://queues", defaults=Options(queue="main"))
    app.task(queue="mail", name="send")(lambda: None)
    app.job("* * * * *", name="nightly", queue="reports")(lambda: None)
    app.limit_queue("slow", Concurrency(1))
    assert find_declared_queues(app) == dict.fromkeys(["default", "mail", "main", "reports", "slow"], 1)
