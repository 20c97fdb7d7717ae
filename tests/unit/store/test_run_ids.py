"""The run ids of calls: ordered by time, and different."""

from uuid import UUID

import pytest

from jobistemer.core import ids
from jobistemer.store.calls import runs

ALL = (1 << 80) - 1
# In the digit of the variant only the two lower bits are free, and the last digit is left over.
FREE = [bit for bit in range(4, 80) if bit not in (66, 67)]


@pytest.fixture
def new_run_id(monkeypatch):
    def create(now_ms, entropy):
        monkeypatch.setattr(runs, "urandom", lambda size: entropy.to_bytes(size, "big"))
        return runs.new_run_id(now_ms)

    return create


def test_the_run_id_of_a_call_is_a_uuid_of_version_7_with_its_time(new_run_id):
    run = new_run_id(1_800_000_000_000, ALL)
    identity = UUID(run.removeprefix("run_"))
    assert (identity.version, identity.variant) == (7, "specified in RFC 4122")
    assert run == "run_01a3185c-5000-7fff-bfff-ffffffffffff"
    assert ids.read_enqueue_ms(run) == 1_800_000_000_000


def test_run_ids_of_calls_sort_by_time_whatever_their_entropy(new_run_id):
    assert new_run_id(1000, ALL) < new_run_id(1001, 0)


@pytest.mark.parametrize("bit", FREE)
def test_every_one_of_74_bits_of_the_entropy_counts(new_run_id, bit):
    assert len(FREE) == 74
    assert new_run_id(1000, 1 << bit) != new_run_id(1000, 0)


def test_two_calls_of_one_millisecond_have_different_run_ids():
    assert len({runs.new_run_id(1000) for _ in range(1000)}) == 1000
