import runpy

from tests.support.paths import ROOT

SCRIPT = ROOT / "docs" / "draw_states.py"


def test_the_page_of_states_is_what_the_tables_say():
    drawn = runpy.run_path(str(SCRIPT))
    assert drawn["PAGE"].read_text() == drawn["page"](), "run `python docs/draw_states.py`"
