"""The tests on the page about testing are tests, and pass."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "test-an-application.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytest_plugins = ["pytester"]

CONFTEST = """
    import asyncio, inspect, pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(pyfuncitem):
        # What a plugin for asynchronous tests does.
        if inspect.iscoroutinefunction(pyfuncitem.obj):
            asyncio.run(pyfuncitem.obj(jobs=pyfuncitem.funcargs["jobs"]))
            return True

    @pytest.fixture(autouse=True)
    def nothing_sent(request):
        request.module.sent.clear()
"""


def test_every_test_on_the_page_passes(pytester):
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    pytester.makeconftest(CONFTEST)
    pytester.path.joinpath("test_page.py").write_text("\n\n".join(blocks), encoding="utf-8")
    result = pytester.runpytest("-p", "no:hypothesispytest")
    result.assert_outcomes(passed=len(re.findall(r"^(?:async )?def test_", "\n".join(blocks), re.MULTILINE)))
