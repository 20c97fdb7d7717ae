"""The pages of the reference are what the code says, and leave nothing out."""

import inspect
import runpy

import pytest

import jobistemer
from jobistemer.core import errors
from tests.support.paths import DOCS


def drawn(script):
    return runpy.run_path(str(DOCS / script))


@pytest.mark.parametrize(
    ("script", "page", "drawing"),
    [
        ("draw_commands.py", "PAGE", "page"),
        ("draw_settings.py", "PAGE", "page"),
        ("draw_options.py", "PAGE", "page"),
        ("draw_payload_types.py", "PAGE", "page"),
        ("draw_api.py", "API", "api_page"),
        ("draw_api.py", "ERRORS", "errors_page"),
        ("draw_api.py", "TESTING", "testing_page"),
    ],
)
def test_a_page_of_the_reference_is_what_the_code_says(script, page, drawing):
    found = drawn(script)
    assert found[page].read_text() == found[drawing](), f"run `python docs/{script}`"


def test_every_public_name_is_on_the_page_of_the_api_and_says_what_it_is():
    page = drawn("draw_api.py")["api_page"]()
    for name in jobistemer.__all__:
        found = getattr(jobistemer, name)
        if inspect.isfunction(found) or (inspect.isclass(found) and not issubclass(found, errors.JobistemerError)):
            assert f"### {name}\n" in page
            assert found.__doc__


def test_every_error_can_be_imported_from_the_front_door():
    named = {name: found for name, found in vars(errors).items() if inspect.isclass(found)}
    assert {name for name, found in named.items() if getattr(jobistemer, name, None) is not found} == set()
    assert set(named) <= set(jobistemer.__all__)


def test_every_method_on_the_page_of_the_api_says_what_it_is():
    found = drawn("draw_api.py")
    public = [getattr(jobistemer, name) for name in jobistemer.__all__]
    for kind in [*found["HANDED_OUT"].values(), *filter(inspect.isclass, public)]:
        assert {name: what for name, (_, what) in found["members"](kind).items() if not what} == {}, kind


def test_every_argument_of_an_app_is_a_setting():
    found = drawn("draw_settings.py")
    page = found["page"]()
    assert [name for name in found["constructor"]() if f"Jobistemer({name}=" not in page] == []


def test_every_error_is_in_the_drawing_at_the_top_of_its_module():
    named = {name for name, found in vars(errors).items() if inspect.isclass(found)}
    assert sorted(name for name in named if name not in (errors.__doc__ or "")) == []
