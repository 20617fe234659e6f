"""The page in a real browser, from disk and without a network: it sorts, selects, shows intervals, fits and prints."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    path = os.environ.get("STILTS_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: STILTS_CHROMIUM is not set, and none of {', '.join(NAMES)} is in the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.getuid() == 0 else [])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    """Errors of the browser's console and requests to the network, over all tests."""
    return []


@pytest.fixture
def page(browser: "sync_api.Browser", folder: Path, complaints: list[str]) -> Iterator["sync_api.Page"]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", offline=True)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
    page.goto((folder / "report.html").as_uri())
    yield page
    context.close()
    assert complaints == []


def shown(page, selector):
    """The value of the first number in each cell that a selector finds, in order; None for a cell without a number."""
    return page.eval_on_selector_all(
        selector,
        "cells => cells.map(c => { const d = c.querySelector('data'); "
        "return d && !d.closest('.lacking') ? Number(d.value) : null; })",
    )


def test_a_table_sorts_by_the_values_up_and_down(page):
    table = "#results table"
    header = page.locator(f"{table} thead th", has_text="panx").first
    column = 1 + page.eval_on_selector_all(f"{table} thead th", "c => c.map(x => x.innerText.trim()).indexOf('panx')")
    before = shown(page, f"{table} tbody tr > :nth-child({column})")
    header.locator("button").click()
    up = shown(page, f"{table} tbody tr > :nth-child({column})")
    assert up == sorted(before)
    assert header.get_attribute("aria-sort") == "ascending"
    header.locator("button").press("Enter")
    assert shown(page, f"{table} tbody tr > :nth-child({column})") == sorted(before, reverse=True)
    assert header.get_attribute("aria-sort") == "descending"
    first = page.locator(f"{table} thead th").first
    first.locator("button").press("Space")
    names = page.locator(f"{table} tbody th").all_inner_texts()
    assert names == sorted(names, key=str.lower)
    assert (first.get_attribute("aria-sort"), header.get_attribute("aria-sort")) == ("ascending", "none")


def test_what_has_no_number_comes_last_either_way(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    button = page.locator("#cost table thead button", has_text="seconds")
    for _ in range(2):
        button.click()
        assert page.locator("#cost table tbody th").all_inner_texts() == ["good", "bad"]


def test_the_map_shows_the_languages_of_a_target_on_request(page):
    panes = page.locator("#transfer [data-pane]")
    assert [pane.is_visible() for pane in panes.all()].count(True) == 1
    page.locator("#transfer select").select_option("xnli")
    visible = [pane for pane in panes.all() if pane.is_visible()]
    assert [pane.get_attribute("data-pane") for pane in visible] == ["xnli"]
    assert visible[0].locator("tbody th").all_inner_texts() == ["de", "en", "sw", "mean"]
    assert page.locator("#transfer-1-test td.heat:visible").count() == 2 * 4


def test_the_colour_of_a_cell_is_its_sign(page):
    cells = page.locator("#transfer td.heat:visible")
    colours = cells.evaluate_all(
        "c => c.map(x => [Number(x.querySelector('data').value), getComputedStyle(x).backgroundColor])"
    )
    strongest = {max(colours)[1], min(colours)[1]}
    assert len(strongest) == 2
    assert all(
        ("gain" in cell) == (value >= 0)
        for cell, (value, _) in zip([cell.get_attribute("class") for cell in cells.all()], colours, strict=True)
    )


def test_an_interval_appears_at_the_pointer_and_in_all_cells_on_request(page):
    cell = page.locator("#transfer td.has-more:visible").first
    cell.scroll_into_view_if_needed()
    page.wait_for_timeout(100)
    cell.hover()
    tip = page.locator("#tip")
    tip.wait_for(state="visible")
    assert "95 % interval" in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    height = cell.bounding_box()["height"]
    page.locator("#transfer input[data-more]").check()
    assert cell.bounding_box()["height"] > height


def test_the_theme_follows_the_system_until_the_button_is_pressed(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    assert light != dark
    page.locator("#theme").click()
    assert page.evaluate(ground) == light
    page.locator("#theme").click()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_the_page_is_never_wider_than_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    for input_ in page.locator("input[data-more]").all():
        input_.check()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints_with_intervals_and_all_panes(page):
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert all(pane.is_visible() for pane in page.locator("#transfer [data-pane]").all())
    assert page.locator("#transfer .more").first.bounding_box()["height"] > 5
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.pdf().startswith(b"%PDF")


def test_the_experiment_is_copied(page):
    page.locator("button[data-copy=yaml]").click()
    page.locator("button[data-copy=yaml]", has_text="Copied").wait_for()


def test_without_scripts_everything_is_there(browser, folder):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((folder / "report.html").as_uri())
    assert page.locator("#transfer [data-pane=xnli]").is_visible()
    assert not page.locator("#theme").is_visible()
    context.close()
