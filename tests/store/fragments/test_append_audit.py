from tests.support.fragments import execute
from tests.support.shard_state import audits

CALL = "append_audit(KEYS[1], ARGV[1], 'ada', 'paused', ARGV[2])"


def append(database, now, note):
    execute(database, "append_audit", CALL, [database.keys.audit("job")], [now, note])


def test_a_line_says_when_who_what_and_why(database):
    append(database, 7, "for the night")
    append(database, 8, "again")
    assert audits(database)["audit:job"] == [
        {"at": "7", "by": "ada", "what": "paused", "note": "for the night"},
        {"at": "8", "by": "ada", "what": "paused", "note": "again"},
    ]


def test_the_latest_thousand_lines_are_kept(database):
    database.client.rpush(database.keys.audit("job"), *(f"{at}\nada\npaused\n" for at in range(1_000)))
    append(database, 1_000, "")
    kept = audits(database)["audit:job"]
    assert (len(kept), kept[0]["at"], kept[-1]["at"]) == (1_000, "1", "1000")
