from tests.support.fragments import execute
from tests.support.shard_state import outcomes, ttl_ms


def add(database, field, number=1):
    state, _, of = field.partition(" ")
    call = (
        "local names = {} for i = 1, tonumber(ARGV[3]) do names[i] = ARGV[2] end add_outcomes(KEYS[1], ARGV[1], names)"
    )
    execute(database, "add_outcomes", call, [database.keys.outcomes(3)], [f"{state} ", of, number])


def test_ends_are_added_up_and_the_counts_of_a_day_expire(database):
    add(database, "succeeded default greet", 99)
    add(database, "succeeded default greet")
    add(database, "dead default greet")
    assert outcomes(database) == {"succeeded default greet": 100, "dead default greet": 1}
    assert ttl_ms(database, "outcomes:3") == 32 * 86_400_000


def test_counts_of_several_tasks_are_added_in_one_go(database):
    call = "add_outcomes(KEYS[1], 'succeeded mail ', {'send', 'greet', 'send'})"
    execute(database, "add_outcomes", call, [database.keys.outcomes(3)])
    assert outcomes(database) == {"succeeded mail send": 2, "succeeded mail greet": 1}


def test_a_key_of_the_wrong_type_stops_nothing(database):
    database.client.set(database.keys.outcomes(3), "odd")
    add(database, "succeeded default greet")
    assert database.client.get(database.keys.outcomes(3)) == b"odd"


def test_with_too_many_tasks_the_later_ones_are_counted_together(database):
    many = {f"succeeded default task{number}": 1 for number in range(5_000)}
    database.client.hset(database.keys.outcomes(3), mapping=many)
    for field in ("succeeded default one_more", "succeeded default another", "failed default another"):
        add(database, field)
    add(database, "succeeded default task7")
    assert outcomes(database) == {**many, "succeeded default task7": 2, "succeeded * *": 2, "failed * *": 1}
