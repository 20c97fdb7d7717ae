"""The dashboard in a real browser: what is seen, clicked and typed; every test fails when the console complains."""

from __future__ import annotations

import msgspec
import pytest
from playwright.sync_api import expect

from jobistemer import Context
from tests.support.apps import drain_queues

pytestmark = pytest.mark.browser

FASTER = "window.setTimeout = ((set) => (what, ms) => set(what, ms === 3000 ? 100 : ms === 6000 ? 1000 : ms))(window.setTimeout)"
"""Pages are loaded again ten times a second: a test need not wait for what is to come."""


def test_an_occurrence_is_seen_with_a_bar_for_each_attempt(world, open_page):
    page = open_page(f"{world.address}/jobs/warehouse%2Fetl")
    page.locator("svg.timeline a").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("failed")
    bars = page.locator("svg.gantt .bar")
    expect(bars).to_have_count(4)
    boxes = [bars.nth(number).bounding_box() for number in range(4)]
    assert all(box["width"] >= 2 and box["height"] > 10 for box in boxes)
    assert (
        len(
            {
                page.evaluate("each => getComputedStyle(each).fill", bars.nth(number).element_handle())
                for number in range(4)
            }
        )
        == 2
    )
    page.locator("svg.gantt a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("warehouse/etl.extract")


def test_a_job_is_paused_and_resumed_by_clicking(world, open_page):
    page = open_page(f"{world.address}/jobs/hostile")
    page.get_by_text("Pause…").click()
    page.get_by_label("For").select_option("an hour")
    page.get_by_label("Why").fill("too loud")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("hostile is paused until")
    assert world.app.control.is_paused("hostile")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("hostile goes on")
    assert not world.app.control.is_paused("hostile")


def test_what_destroys_is_asked_before_and_can_be_left_as_it_is(world, open_page):
    page = open_page(f"{world.address}/runs/{world.ids['waiting']}")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("link", name="Leave it as it is").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("pending")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel run").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("canceled")


def test_a_read_only_dashboard_has_no_buttons_but_its_own(world, open_page):
    for path in ("/", "/jobs", "/jobs/hostile", "/dead", f"/runs/{world.ids['dead']}", "/queues"):
        page = open_page(world.read_only + path)
        expect(page.get_by_text("read-only", exact=True)).to_be_visible()
        assert [each.inner_text() for each in page.get_by_role("button").all()] == ["UTC", "Live"]


def test_hostile_names_and_errors_are_text(world, open_page):
    for path in ("/dead", f"/runs/{world.ids['dead']}", f"/occurrences/{world.ids['hostile']}", "/jobs/hostile"):
        page = open_page(world.address + path)
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        assert page.locator("main script, main img").count() == 0
        expect(page.get_by_text("<script>alert('x')</script>").first).to_be_attached()


def test_everything_can_be_reached_with_the_keyboard(world, open_page):
    page = open_page(f"{world.address}/jobs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"Overview", "Dead letters", "live", "hostile", "pause-job-hostile"} <= reached
    page.locator("#pause-job-hostile").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Why").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("hostile is paused")
    page.locator("#resume-job-hostile").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("hostile goes on")


def test_a_page_is_loaded_again_with_focus_and_scrolling_kept_until_it_is_paused(world, open_page):
    page = open_page("about:blank", viewport={"width": 500, "height": 300})
    page.add_init_script(FASTER)
    page.goto(f"{world.address}/jobs/hostile")
    page.evaluate("scrollTo(0, 120)")
    page.locator("main a").last.focus()
    focused = page.evaluate("document.activeElement.getAttribute('href')")
    where = page.evaluate("document.activeElement.getBoundingClientRect().top")
    assert page.evaluate("scrollY") > 0
    world.app.control.pause("hostile", "seen without a click")
    expect(page.get_by_text("seen without a click").first).to_be_visible()
    assert page.evaluate("document.activeElement.getAttribute('href')") == focused
    assert abs(page.evaluate("document.activeElement.getBoundingClientRect().top") - where) < 2
    page.get_by_role("button", name="Live").click()
    world.app.control.resume("hostile")
    expect(page.get_by_role("button", name="Paused")).to_be_visible()
    page.evaluate("refresh()")
    expect(page.get_by_text("seen without a click").first).to_be_visible()
    page.get_by_role("button", name="Paused").click()
    expect(page.locator("p.notice.warn")).to_have_count(0)


def test_it_works_without_a_script(world, open_page):
    page = open_page(f"{world.address}/queues", java_script_enabled=False)
    assert not page.locator("#live").is_visible()
    page.locator("#pause-queue-default").click()
    assert "default is paused" in page.get_by_role("status").inner_text()
    page.locator("#resume-queue-default").click()
    assert "default goes on" in page.get_by_role("status").inner_text()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_the_window(world, open_page, width, scheme):
    ids = world.ids
    page = open_page(world.address, viewport={"width": width, "height": 800}, color_scheme=scheme)
    paths = (
        "/jobs",
        "/jobs/hostile",
        f"/occurrences/{ids['etl']}",
        f"/runs/{ids['dead']}",
        "/runs",
        "/queues",
        "/dead",
        "/workers",
    )
    for path in ("/", *paths):
        page.goto(world.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_choices_outlive_a_page_that_is_loaded_again_and_buttons_wait_for_them(world, open_page):
    page = open_page("about:blank")
    page.add_init_script(FASTER)
    page.goto(f"{world.address}/dead")
    expect(page.locator("#replay-chosen")).to_be_disabled()
    page.locator("input[name=target]").first.check()
    expect(page.locator("#replay-chosen")).to_be_enabled()
    expect(page.locator(".bulk output")).to_have_text("1")
    with page.expect_response("**/dead"):
        pass
    with page.expect_response("**/dead"):
        pass
    expect(page.locator("input[name=target]").first).to_be_checked()
    expect(page.locator(".bulk output")).to_have_text("1")


def test_a_dashboard_that_is_silent_is_said_and_the_old_page_stays(world, open_page):
    page = open_page("about:blank", viewport={"width": 600, "height": 300})
    page.add_init_script(FASTER)
    page.goto(f"{world.address}/jobs/hostile")
    page.evaluate("scrollTo(0, 100)")
    page.route("**/jobs/hostile", lambda _: None)
    expect(page.get_by_role("alert")).to_contain_text("silent for")
    expect(page.get_by_role("button", name="Not live")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("hostile")
    assert page.evaluate("scrollY") == 100
    page.unroute("**/jobs/hostile")
    expect(page.get_by_role("button", name="Live", exact=True)).to_be_visible()


def test_an_error_that_was_scrolled_stays_where_it_was(world, open_page):
    page = open_page("about:blank")
    page.add_init_script(FASTER)
    page.goto(f"{world.address}/runs/{world.ids['dead']}")
    found = page.evaluate(
        """() => { const sheet = new CSSStyleSheet(); sheet.replaceSync('pre { max-height: 24px !important; }');
        document.adoptedStyleSheets = [sheet]; const one = document.querySelector('pre'); one.scrollTop = 12; return one.scrollTop; }"""
    )
    assert found == 12
    for _ in range(2):
        with page.expect_response("**/runs/*"):
            pass
    assert page.evaluate("document.querySelector('pre').scrollTop") == 12


def test_a_strip_is_one_stop_and_keys_go_through_rows_and_pages(world, open_page):
    page = open_page(f"{world.address}/jobs")
    strip = page.locator(".strip").first
    assert "latest:" in strip.get_attribute("aria-label")
    assert {each.get_attribute("tabindex") for each in page.locator(".strip a").all()} == {"-1"}
    strip.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.className").startswith("cell")
    page.locator("body").click()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.closest('tr') !== null")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Queues")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"


@pytest.mark.parametrize("zone", ["Asia/Tokyo"])
def test_times_are_shown_in_the_zone_of_the_browser_when_it_is_chosen(world, open_page, zone):
    page = open_page(f"{world.address}/jobs", timezone_id=zone)
    assert "03:00" in page.locator("td[data-label=Next]").first.inner_text()
    page.get_by_role("button", name="UTC").click()
    expect(page.get_by_role("button", name="Local time")).to_be_visible()
    expect(page.locator("td[data-label=Next]").first).to_contain_text("12:00")
    expect(page.get_by_role("columnheader", name="Next (local)")).to_be_visible()


def test_the_states_of_a_strip_differ_in_form_not_only_in_colour(world, open_page):
    page = open_page(f"{world.address}/jobs")
    heights = {
        form: page.evaluate(
            """(form) => { const each = document.createElement('a'); each.className = `cell ${form}`;
            document.querySelector('.strip').append(each); return getComputedStyle(each, '::before').height; }""",
            form,
        )
        for form in ("full", "most", "low")
    }
    assert len(set(heights.values())) == 3


def test_a_click_anywhere_in_a_row_opens_it_and_text_can_still_be_selected(world, open_page):
    page = open_page(f"{world.address}/runs/ended")
    page.locator("tbody tr").first.locator("td[data-label=State]").click()
    expect(page.get_by_text("Enqueued (UTC)")).to_be_visible()
    page.goto(f"{world.address}/dead")
    page.locator("td.choose").first.click(position={"x": 3, "y": 3})
    expect(page.locator("input[name=target]").first).to_be_checked()
    # A double click selects a word: the page must stay.
    page.locator("td.error").first.dblclick(position={"x": 20, "y": 15})
    assert page.evaluate("getSelection().toString()") != ""
    assert page.url == f"{world.address}/dead"


def test_a_page_that_has_not_changed_is_kept_and_its_times_go_on(world, open_page):
    page = open_page("about:blank")
    page.add_init_script(FASTER)
    page.goto(f"{world.address}/runs/{world.ids['sent']}")
    with page.expect_response(lambda answer: answer.status == 304):
        pass
    page.evaluate("document.querySelector('main').dataset.mine = 'kept'")
    before = page.locator("footer time").inner_text()
    with page.expect_response(lambda answer: answer.status == 304):
        pass
    expect(page.locator("footer time")).not_to_have_text(before)
    assert page.evaluate("document.querySelector('main').dataset.mine") == "kept"
    assert page.evaluate("[0, 1500, 78000, 7300000, 864e6].map((ms) => duration(ms))") == [
        "0 ms", "1.5 s", "1 min 18 s", "2 h 2 min", "10 d",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/hostile", "/runs/ended", "/dead", "/queues", "/changes"])
def test_what_can_be_clicked_is_as_large_as_a_finger_needs(world, open_page, path):
    # By WCAG 2.5.8: 24 pixels, or links within a sentence; cells of a strip have the links of the table beside them.
    page = open_page(world.address + path)
    small = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input, select, summary")]
        .filter((each) => !each.closest(".skip, svg, .strip, td.wide, .lead, .notice, .below, .brand") && each.offsetParent)
        .map((each) => [each.textContent || each.name, each.getBoundingClientRect().height])
        .filter(([, height]) => height > 0 && height < 24)"""
    )
    assert small == []


@pytest.mark.parametrize("width", [1080, 1180, 1280, 1400])
def test_no_button_at_the_top_breaks_its_row(world, open_page, width):
    page = open_page(f"{world.address}/jobs", viewport={"width": width, "height": 720})
    tops = [each.bounding_box() for each in page.locator("#zone, #live, .find input, .brand").all()]
    middle = min(round(each["y"] + each["height"] / 2) for each in tops)
    assert {round(each["y"] + each["height"] / 2) for each in tops} <= {middle, middle + 1}
    assert page.locator("#live").bounding_box()["height"] <= 32


class Approval(msgspec.Struct):
    """The answer to the question of a test."""

    ok: bool
    note: str = ""


def test_a_question_is_answered_by_a_form_that_is_not_lost_while_it_is_filled_in(world, open_page):
    app = world.app

    @app.task(queue="asks")
    def close(customer: str, context: Context) -> str:
        found = context.wait_for(
            "approved", Approval, timeout=3600, ask="Close the account of {customer}?", by=["ana", "ops"]
        )
        return f"{found.ok} {found.note}"

    run = close.enqueue("acme")
    drain_queues(app, queues={"asks": 0})
    page = open_page("about:blank")
    page.add_init_script(FASTER)
    page.goto(f"{world.address}/questions")
    expect(page.get_by_role("heading", level=2)).to_have_text("Close the account of acme?")
    page.get_by_label("ok").check()
    page.get_by_label("note").fill("as agreed")
    page.locator("h1").click()
    expect(page.locator("#live")).to_have_text("Held: an answer is begun")
    link = page.get_by_role("link", name="for ops").get_attribute("href")
    other = open_page(world.address + link)
    expect(other.get_by_role("heading", level=1)).to_have_text("Close the account of acme?")
    assert other.locator("header nav").count() == 0
    page.get_by_role("button", name="Answer", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("answered: Close the account of acme?")
    drain_queues(app, queues={"asks": 0})
    assert run.result() == "True as agreed"
