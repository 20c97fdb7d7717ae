"""Fixed vectors: an identity that changes forks the history."""

import pytest

from jobistemer.core import ids

JOB = "job_f2b93c45d69122d4adefed14c6a6846a5f5fac64"
TASK = "task_aaf2ff7788d2ce8df858c20151126f9f963fbabd"
OCCURRENCE = "occ_0d6f631f-41b1-5628-8b26-bae26ee0bdcd"
RUN = "run_e537928c-40df-5745-8337-56186cf45da5"


@pytest.mark.parametrize(
    ("computed", "fixed"),
    [
        (ids.job_id("report"), JOB),
        (ids.task_id(JOB, "load"), TASK),
        (ids.occurrence_id(JOB, 1_800_000_060), OCCURRENCE),
        (ids.run_id(OCCURRENCE, TASK), RUN),
        (ids.attempt_id(RUN, 0), "attempt_588cd080-6fc4-54d7-ac26-6259d6a2faff"),
        (ids.attempt_id(RUN, 1), "attempt_00c62be7-1284-5525-98c2-5182ccb9129d"),
    ],
)
def test_every_node_computes_the_same_identity_from_the_same_context(computed, fixed):
    assert computed == fixed


@pytest.mark.parametrize(
    "one_and_other",
    [
        (ids.job_id("a"), ids.job_id("b")),
        (ids.task_id(JOB, "a"), ids.task_id(JOB, "b")),
        (ids.task_id("job_1", "a"), ids.task_id("job_2", "a")),
        (ids.occurrence_id(JOB, 1), ids.occurrence_id(JOB, 2)),
        (ids.run_id(OCCURRENCE, "task_1"), ids.run_id(OCCURRENCE, "task_2")),
        (ids.attempt_id(RUN, 0), ids.attempt_id(RUN, 10)),
    ],
)
def test_another_context_is_another_identity(one_and_other):
    one, other = one_and_other
    assert one != other


@pytest.mark.parametrize("odd", ["", "run_odd", "nonsense"])
def test_an_id_that_is_no_uuid_tells_no_time(odd):
    assert ids.read_enqueue_ms(odd) == 0
