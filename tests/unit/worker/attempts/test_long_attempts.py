from jobistemer.worker.attempts.long_attempts import KEPT_S, MAX_TASKS, LongAttempts


def test_the_attempt_that_came_nearest_to_its_own_time_out_counts():
    found = LongAttempts()
    found.note("send", 79, 100)
    assert found.list() == {}
    for ms, limit_ms in ((90, 100), (85, 100), (160, 200), (950, 1_000), (93, 100)):
        found.note("send", ms, limit_ms)
    assert found.list() == {"send": (950, 1_000)}


def test_the_number_of_tasks_is_bounded_and_one_is_forgotten_after_a_day():
    now = [0.0]
    found = LongAttempts(lambda: now[0])
    for number in range(MAX_TASKS + 1):
        found.note(f"task_{number}", 100, 100)
    assert len(found.list()) == MAX_TASKS
    now[0] = KEPT_S / 2
    found.note("task_0", 100, 100)
    now[0] = KEPT_S + 1
    assert list(found.list()) == ["task_0"]
