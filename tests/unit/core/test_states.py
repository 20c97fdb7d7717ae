import pytest

from jobistemer.core.states import (
    ATTEMPT_TRANSITIONS,
    OCCURRENCE_TRANSITIONS,
    RUN_TRANSITIONS,
    TERMINAL_ATTEMPTS,
    TERMINAL_OCCURRENCES,
    TERMINAL_RUNS,
    AttemptState,
    OccurrenceState,
    RunState,
    next_state,
)

TABLES = [
    pytest.param(OCCURRENCE_TRANSITIONS, OccurrenceState, TERMINAL_OCCURRENCES, id="occurrence"),
    pytest.param(RUN_TRANSITIONS, RunState, TERMINAL_RUNS, id="run"),
    pytest.param(ATTEMPT_TRANSITIONS, AttemptState, TERMINAL_ATTEMPTS, id="attempt"),
]
every_table = pytest.mark.parametrize(("table", "states", "terminal"), TABLES)


@every_table
def test_nothing_leads_out_of_a_terminal_state(table, states, terminal):
    assert {state for state, _ in table} & terminal == set()


@every_table
def test_every_state_can_be_reached_from_no_record(table, states, terminal):
    reached = {None}
    while found := {end for (state, _), end in table.items() if state in reached} - reached:
        reached |= found
    assert reached == {None, *states}


@every_table
def test_a_terminal_state_can_be_reached_from_every_other(table, states, terminal):
    ending = set(terminal)
    while found := {state for (state, _), end in table.items() if end in ending} - ending:
        ending |= found
    assert ending == {None, *states}


@pytest.mark.parametrize(
    ("terminal", "names"),
    [
        (TERMINAL_OCCURRENCES, "completed failed canceled failed_stale skipped missed compressed timed_out"),
        (TERMINAL_RUNS, "succeeded failed timed_out canceled skipped dead"),
        (TERMINAL_ATTEMPTS, "succeeded failed timed_out canceled lost suspended"),
    ],
)
def test_the_terminal_states_are_those_of_the_specification(terminal, names):
    assert {str(state) for state in terminal} == set(names.split())


@pytest.mark.parametrize(
    ("table", "state", "event", "end"),
    [
        (OCCURRENCE_TRANSITIONS, None, "fire", "pending"),
        (OCCURRENCE_TRANSITIONS, OccurrenceState.QUEUED, "start", "pending"),
        (OCCURRENCE_TRANSITIONS, OccurrenceState.QUEUED, "complete", None),
        (OCCURRENCE_TRANSITIONS, OccurrenceState.COMPLETED, "cancel", None),
        (RUN_TRANSITIONS, RunState.SCHEDULED, "promote", "pending"),
        (RUN_TRANSITIONS, RunState.SCHEDULED, "succeed", None),
        (RUN_TRANSITIONS, RunState.RUNNING, "retry", "scheduled"),
        (RUN_TRANSITIONS, RunState.DEAD, "requeue", None),
        (ATTEMPT_TRANSITIONS, None, "lose", "lost"),
        (ATTEMPT_TRANSITIONS, AttemptState.LOST, "succeed", None),
        (ATTEMPT_TRANSITIONS, AttemptState.RUNNING, "no such event", None),
    ],
)
def test_an_event_leads_where_the_table_says_or_nowhere(table, state, event, end):
    assert next_state(table, state, event) == end
