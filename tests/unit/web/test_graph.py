"""The picture of a task graph: layers from left to right, lines that cross no box, colours of states."""

import pytest

from jobistemer.core.runs.report import GroupReport
from jobistemer.web.charts.graph import BOX_HEIGHT, BOX_WIDTH, MAX_BOXES, Node, draw_graph, node_of_group

DIAMOND = [
    Node("extract", state="succeeded"),
    Node("clean", ("extract",), "succeeded"),
    Node("check", ("extract",), "failed"),
    Node("load", ("clean", "check"), "skipped"),
]


def places(drawing):
    return {box.node.name: (box.x, box.y) for box in drawing.boxes}


def test_each_task_stands_to_the_right_of_all_that_it_waits_for():
    found = places(draw_graph(DIAMOND))
    assert found["extract"][0] < found["clean"][0] == found["check"][0] < found["load"][0]
    assert found["extract"][1] == found["load"][1]


@pytest.mark.parametrize("count", [2, 5, 40])
def test_no_two_boxes_touch_and_all_are_inside_the_picture(count):
    nodes = [Node("first"), *(Node(f"n{number}", ("first",)) for number in range(count))]
    drawing = draw_graph(nodes)
    boxes = sorted(places(drawing).values())
    assert all(0 <= x <= drawing.width - BOX_WIDTH and 0 <= y <= drawing.height - BOX_HEIGHT for x, y in boxes)
    assert all(one[0] != two[0] or two[1] - one[1] > BOX_HEIGHT for one, two in zip(boxes, boxes[1:], strict=False))


def test_a_line_over_several_layers_has_a_place_of_its_own_in_each_of_them():
    drawing = draw_graph([Node("a"), Node("b", ("a",)), Node("c", ("b",)), Node("d", ("a", "c"))])
    assert len(drawing.boxes) == 4
    # Of a to d: two pieces through the layers of b and c, and the last one.
    assert len(drawing.lines) == 3 + 3
    through = [float(path.split()[-1].partition("H")[0]) for path, _ in drawing.lines if "H" in path]
    assert not any(y <= at <= y + BOX_HEIGHT for at in through for name, (_, y) in places(drawing).items() if name in "bc")


def test_boxes_and_lines_have_the_tone_of_their_states_and_groups_the_share_that_is_done():
    drawing = draw_graph([*DIAMOND, node_of_group("load", GroupReport(2000, 500, 0, "run_r", "pending"))])
    tones = {box.node.name: box.tone for box in drawing.boxes}
    assert (tones["clean"], tones["check"], tones["load × 2,000"]) == ("good", "bad", "busy")
    assert sorted(tone for _, tone in drawing.lines) == ["bad", "good", "good", "good", "mute"]
    (group,) = [box for box in drawing.boxes if box.bar]
    assert (group.bar, group.note, group.node.link) == (BOX_WIDTH / 4, "500 of 2,000", "/runs/run_r")


def test_long_names_are_cut_and_the_whole_name_stays():
    (box, _) = draw_graph([Node("x" * 60), Node("b", ("x" * 60,))]).boxes
    assert (len(box.label), box.label[-1], box.node.name) == (20, "…", "x" * 60)


def test_one_task_and_very_many_tasks_are_not_drawn():
    assert draw_graph([Node("only")]) is None
    assert draw_graph([Node(str(number)) for number in range(MAX_BOXES + 1)]) is None


def test_a_definition_with_a_cycle_is_drawn_all_the_same():
    assert len(draw_graph([Node("a", ("b",)), Node("b", ("a",)), Node("c")]).boxes) == 3
