"""What `doctor` says of a server that describes itself so; what a test can provoke on a real one stands in test_doctor."""

import pytest

from jobistemer.core.reads.findings import check_server

WELL = {
    "redis_version": "7.2.4",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "used_memory": 2**20,
    "maxmemory": 2**30,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "connected_slaves": 0,
}


def test_of_a_fit_server_there_is_nothing_to_say():
    assert {finding.check: finding.level for finding in check_server(WELL, 3)} == dict.fromkeys(
        ("version", "role", "eviction", "memory", "persistence", "clock"), "fine"
    )


@pytest.mark.parametrize(
    ("told", "level", "value", "remedy"),
    [
        ({"redis_version": "6.0.16"}, "fault", "redis 6.0.16", "Redis 6.2, 7, 8 or Valkey is needed"),
        ({"used_memory": 2**29 * 1.6}, "warning", "819 MiB of 1024 MiB, 80%", "raise maxmemory"),
        ({"used_memory": 2**30}, "fault", "1024 MiB of 1024 MiB, 100%", "raise maxmemory"),
        ({"aof_last_write_status": "err"}, "fault", "the last append failed", "free space"),
        ({"aof_enabled": 0, "rdb_last_bgsave_status": "err"}, "fault", "the last snapshot failed", "free space"),
    ],
)
def test_what_is_wrong_is_named_with_the_value_and_the_remedy(told, level, value, remedy):
    (found,) = (finding for finding in check_server(WELL | told, 0) if finding.level != "fine")
    assert (found.level, found.value) == (level, value)
    assert remedy in found.remedy


@pytest.mark.parametrize("version", ["6.2.0", "7.0.15", "8.2.1"])
def test_versions_that_are_supported_are_fine(version):
    assert all(finding.level == "fine" for finding in check_server(WELL | {"redis_version": version}, 0))


def test_valkey_is_shown_by_its_own_version():
    told = {"server_name": "valkey", "redis_version": "7.2.4", "valkey_version": "9.1.2"}
    assert check_server(WELL | told, 0)[0].value == "valkey 9.1.2"


def test_a_clock_that_is_off_by_more_than_a_second_is_a_warning():
    (found,) = (finding for finding in check_server(WELL, -2_500) if finding.level != "fine")
    assert (found.check, found.level, found.value) == ("clock", "warning", "-2500 ms ahead of this machine")
