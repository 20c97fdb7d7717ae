"""The picture of a task graph: layers from left to right, lines that cross no box, colours of states."""

import pytest

from jobistemer.core.runs.report import GroupReport
from jobistemer.web.charts import templating
from jobistemer.web.charts.graph import BAR_HEIGHT, BOX_HEIGHT, BOX_WIDTH, MAX_PLACES, Node, draw_graph, node_of_group

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
    assert not any(
        y <= at <= y + BOX_HEIGHT for at in through for name, (_, y) in places(drawing).items() if name in "bc"
    )


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


def chain(count):
    """Tasks of which each comes after all before it."""
    return [Node(f"n{number}", tuple(f"n{before}" for before in range(number))) for number in range(count)]


def test_one_task_is_not_drawn_nor_very_many_tasks_or_bends():
    assert draw_graph([Node("only")]) is None
    assert draw_graph([Node(str(number)) for number in range(MAX_PLACES + 1)]) is None
    assert draw_graph(chain(50)) is None


def test_a_graph_as_large_as_can_be_followed_is_drawn():
    drawing = draw_graph([Node(str(number)) for number in range(MAX_PLACES)])
    assert len(drawing.boxes) == MAX_PLACES
    # Of ten tasks each pair has a line, and each layer between them adds a piece to it.
    drawing = draw_graph(chain(10))
    assert (len(drawing.boxes), len(drawing.lines)) == (10, 45 + 120)


def test_a_task_names_the_tasks_before_it_and_no_bend_of_a_line():
    after = {box.node.name: box.node.after for box in draw_graph(chain(4)).boxes}
    assert after == {"n0": (), "n1": ("n0",), "n2": ("n0", "n1"), "n3": ("n0", "n1", "n2")}


def test_all_pieces_of_a_line_have_the_tone_of_the_task_that_it_comes_from():
    nodes = [
        Node("a", (), "succeeded"),
        Node("b", ("a",), "failed"),
        Node("c", ("b",), "running"),
        Node("d", ("a", "c")),
    ]
    # Of a to d there are three pieces.
    assert sorted(tone for _, tone in draw_graph(nodes).lines) == ["bad", "busy", *["good"] * 4]


def test_the_template_draws_boxes_of_the_size_that_lines_lead_to_and_names_what_a_task_comes_after():
    nodes = [*chain(3), Node("group", ("n0",), done=0.5)]
    parts = templating._ENVIRONMENT.get_template("parts.html").make_module({"root": ""})
    page = str(parts.graph(draw_graph(nodes), "Tasks"))
    assert page.count(f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}"') == 4
    assert "<title>n2, after n0, n1</title>" in page
    (bar,) = [box for box in draw_graph(nodes).boxes if box.bar]
    assert f'y="{bar.y + BOX_HEIGHT - BAR_HEIGHT}" width="{bar.bar}" height="{BAR_HEIGHT}"' in page


def test_a_definition_with_a_cycle_is_drawn_all_the_same():
    assert len(draw_graph([Node("a", ("b",)), Node("b", ("a",)), Node("c")]).boxes) == 3
