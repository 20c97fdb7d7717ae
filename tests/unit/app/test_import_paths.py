"""What pages tell users to import comes from `jobistemer`; paths that earlier pages named still work, with a warning."""

import importlib
import re
import subprocess
import sys

import pytest

import jobistemer
from tests.support.paths import DOCS, ROOT

PUBLIC = ("jobistemer.web", "jobistemer", "jobistemer.testing")
IMPORT = re.compile(r"^from (jobistemer[a-z_.]*) import (.+)$", re.MULTILINE)
LATE = ("jobistemer.control.backfills", "jobistemer.control.audit")


def import_anew(monkeypatch, module):
    monkeypatch.delitem(sys.modules, module, raising=False)
    return importlib.import_module(module)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("jobistemer.app.backfilling", "Backfills"),
        ("jobistemer.app.auditing", "audit_jobs"),
        ("jobistemer.core.alerts", "Alert"),
    ],
)
def test_an_old_module_gives_the_same_object_and_names_the_new_import(monkeypatch, module, name):
    with pytest.warns(DeprecationWarning, match=f"from jobistemer import {name}") as warned:
        found = getattr(import_anew(monkeypatch, module), name)
    assert found is getattr(jobistemer, name)
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("JobControl", "from jobistemer import JobControl"),
        ("QueueControl", "`app.queues`"),
        ("Holds", "`app.holds`"),
        ("DeadLetters", "`app.dead`"),
    ],
)
def test_a_class_that_has_moved_from_the_app_is_found_there_with_a_warning(name, remedy):
    app = importlib.import_module("jobistemer.app")
    with pytest.warns(DeprecationWarning, match=re.escape(remedy)) as warned:
        found = getattr(app, name)
    assert found.__module__.startswith("jobistemer.control.")
    assert warned[0].filename == __file__


def test_modules_that_pages_have_named_and_that_stay_give_the_same_objects():
    from jobistemer.core import errors, schedules, sizes

    assert sizes.Sizes is jobistemer.Sizes
    assert errors.InvalidPayload is jobistemer.InvalidPayload
    assert (schedules.Custom, schedules.register_schedule) == (jobistemer.Custom, jobistemer.register_schedule)


@pytest.mark.parametrize("module", ["jobistemer", "jobistemer.app"])
def test_a_name_that_is_nowhere_is_an_attribute_error(module):
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Nothing'"):
        _ = importlib.import_module(module).Nothing


def test_every_public_name_can_be_imported():
    assert [name for name in jobistemer.__all__ if not hasattr(jobistemer, name)] == []


def test_importing_the_package_does_not_import_what_only_operators_need():
    code = f"import sys, jobistemer; print([each for each in {LATE} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_pages_import_from_the_public_modules_only():
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    found = {(page.name, module) for page in pages for module, _ in IMPORT.findall(page.read_text())}
    assert {
        (page, module) for page, module in found if module not in PUBLIC and not module.startswith("jobistemer.contrib")
    } == set()
