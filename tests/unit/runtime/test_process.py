"""What a process prepares before it works."""

import subprocess
import sys

import pytest

PREPARED = """
import gc
{before}
from jobistemer.runtime.process import ProcessOptions, prepare_process
kept = [[] for _ in range(1000)]
prepare_process(ProcessOptions())
print(gc.get_freeze_count() > 1000, any(each is kept for each in gc.get_objects()), gc.isenabled(), *gc.get_threshold())
"""


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", "True False True 5000 10 10"),
        ("gc.set_threshold(300, 4, 5)", "True False True 300 4 5"),
        ("gc.disable()", "True False False 5000 10 10"),
    ],
)
def test_the_collector_leaves_alone_what_was_loaded_and_keeps_what_the_app_has_set(before, expected):
    code = PREPARED.format(before=before)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == expected
