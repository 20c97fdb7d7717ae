"""What `doctor` reads off the nodes' views of a cluster; the same on real nodes stands in test_doctor_cluster."""

from jobistemer.core.reads.cluster_health import NodeView, check_cluster, check_shard_spread, parse_nodes

NODES = """\
aaa 10.0.0.1:6379@16379 myself,master - 0 0 1 connected 0-5460 [93->-bbb]
bbb 10.0.0.2:6379@16379,host-b master - 0 1 2 connected 5461-10921
ccc 10.0.0.3:6379@16379 master,fail? - 0 1 3 disconnected 10922-16383
ddd 10.0.0.4:6379@16379 slave aaa 0 1 1 connected
eee 10.0.0.5:6379@16379 slave,fail bbb 0 1 2 disconnected
fff 10.0.0.6:6379@16379 master - 0 1 0 connected
"""
WELL = {"cluster_state": "ok", "cluster_slots_ok": "16384"}
QUIET = NODES.replace(" [93->-bbb]", "").replace(",fail?", "").replace(",fail", "")


def told(*views):
    found = check_cluster({name: NodeView(state, parse_nodes(text)) for name, state, text in views})
    return [(each.node, each.check, each.level, each.value) for each in found if each.level != "fine"]


def test_each_line_is_a_member():
    first, second, third, fourth, _, sixth = parse_nodes(NODES)
    assert (first.id, first.name, first.open_slots, first.serves) == ("aaa", "10.0.0.1:6379", ("93",), True)
    assert (second.name, second.is_lost, second.is_replica) == ("10.0.0.2:6379", False, False)
    assert third.is_lost
    assert (fourth.is_replica, fourth.primary, fourth.serves) == (True, "aaa", False)
    assert not sixth.serves


def test_of_a_whole_cluster_there_is_one_thing_to_say_of_each_node():
    whole = QUIET.replace("slave bbb", "slave ccc") + "ggg 10.0.0.7:6379@16379 slave bbb 0 1 2 connected\n"
    found = check_cluster({name: NodeView(WELL, parse_nodes(whole)) for name in ("a", "b")})
    assert [(each.node, each.check, each.level, each.value) for each in found] == [
        ("a", "cluster", "fine", "ok, 16384 of 16384 slots are served"),
        ("b", "cluster", "fine", "ok, 16384 of 16384 slots are served"),
    ]


def test_a_slot_that_is_half_moved_is_a_warning_of_the_node_that_says_so():
    alone = QUIET.replace("0-5460", "0-5460 [93->-bbb]").replace("slave", "master")
    assert told(("a", WELL, alone)) == [("a", "cluster", "warning", "slot 93 is half way to another node")]


def test_a_node_that_others_cannot_reach_is_named_once_with_who_says_so():
    lost = [each for each in told(("a", WELL, NODES), ("b", WELL, NODES)) if "reach" in each[3]]
    assert lost == [
        ("10.0.0.3:6379", "cluster", "fault", "a, b cannot reach it"),
        ("10.0.0.5:6379", "cluster", "fault", "a, b cannot reach it"),
    ]


def test_a_node_without_a_replica_is_a_warning_where_others_have_one():
    # A replica that is lost is none, and a node without slots needs none.
    lonely = [each for each in told(("a", WELL, NODES)) if each[1] == "replicas"]
    assert lonely == [
        ("10.0.0.2:6379", "replicas", "warning", "none"),
        ("10.0.0.3:6379", "replicas", "warning", "none"),
    ]
    assert [each for each in told(("a", WELL, QUIET.replace("slave", "master"))) if each[1] == "replicas"] == []


def test_slots_that_one_node_does_not_see_served_are_its_fault():
    state = {"cluster_state": "fail", "cluster_slots_ok": "10923"}
    (found,) = told(("a", WELL, ""), ("b", state, ""))
    assert found == ("b", "cluster", "fault", "fail, 10923 of 16384 slots are served")


def test_of_a_cluster_whose_primaries_do_not_answer_nothing_is_known():
    assert check_cluster({}) == []


def test_of_each_node_it_is_told_which_shards_it_has_and_one_without_any_is_a_warning():
    found = check_shard_spread({"a": [0, 2], "b": [], "c": [1]})
    assert [(each.node, each.check, each.level, each.value) for each in found] == [
        ("a", "shards", "fine", "2 of 3: 0, 2"),
        ("b", "shards", "warning", "none of 3"),
        ("c", "shards", "fine", "1 of 3: 1"),
    ]


def test_fewer_shards_than_nodes_leave_some_without_and_many_are_told_in_part():
    assert [each.level for each in check_shard_spread({"a": [0], "b": [], "c": []})] == ["fine"] * 3
    (many,) = check_shard_spread({"a": range(24)})
    assert many.value.endswith("18, 19, …")
