"""The report as a browser shows it: nothing in the console, nothing wider than a phone, dark where dark is wanted."""

from pathlib import Path

import pytest
from helpers.browser import Browser, why_no_browser
from helpers.cli import SMALL, normbench

pytestmark = pytest.mark.skipif(why_no_browser() is not None, reason=why_no_browser() or "")

SIZES = [(360, "light"), (390, "dark"), (1400, "light"), (1280, "dark")]
CONTRAST = """
const numbers = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = colour => numbers(colour).map(v => linear(v / 255)).reduce(
  (sum, v, place) => sum + v * [.2126, .7152, .0722][place], 0);
const behind = element => { while (element) { const colour = getComputedStyle(element).backgroundColor;
  if (!/, 0\\)$|transparent/.test(colour)) return colour; element = element.parentElement } return 'rgb(0, 0, 0)' };
const texts = 'p, th, td, caption, figcaption, a, dt, dd, h1, h2, h3, summary, code, text';
const low = [];
for (const element of document.querySelectorAll(texts)) {
  if (!element.textContent.trim() || element.closest('.skip')) continue;
  const style = getComputedStyle(element), ink = element.tagName == 'text' ? style.fill : style.color;
  const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
  if ((a + .05) / (b + .05) < 4.5) low.push(element.tagName + ' ' + ink + ' ' + element.textContent.slice(0, 30));
}
return low;
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("browser")
    made = normbench(
        "compare", "--dataset", "digits", "--subset", "512", "--set", SMALL, "--norms", "bn,gn,ln", "--seeds", 2,
        "--epochs", 2, "--out", out,
    )  # fmt: skip
    assert made.code == 0, made.stderr
    assert normbench("report", "baseline", "--out", out).code == 0
    return out / "baseline" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_fits_and_the_console_stays_empty(browser, page, width, scheme):
    browser.open(page, width=width, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return document.querySelectorAll('svg').length") == 11
    assert browser.errors() == []
    brightness = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(brightness[:3]) / 3 < 60) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(browser, page, scheme):
    browser.open(page, scheme=scheme)
    assert browser.run(CONTRAST) == []


def test_the_first_tab_shows_the_way_to_the_answer_and_wide_tables_scroll_in_their_box(browser, page):
    browser.open(page, width=360)
    browser.tell("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.run("return document.activeElement.className") == "skip"
    assert browser.run("return document.activeElement.getBoundingClientRect().left >= 0")
    wide = "return [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length"
    assert browser.run(wide) >= 1


def test_on_a_wide_screen_plots_stand_beside_their_tables_and_no_table_needs_to_scroll(browser, page):
    browser.open(page, width=1400)
    boxes = browser.run(
        "return [...document.querySelectorAll('.beside')].map(box => [...box.children].map(part => {"
        " const at = part.getBoundingClientRect(); return [at.top, at.left, at.right] }))"
    )
    assert len(boxes) == 3  # comparison, differences, classes
    for plot, table in boxes:
        assert plot[0] == table[0]
        assert plot[2] <= table[1]
    cut = "return [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length"
    assert browser.run(cut) == 0


def test_print_keeps_headings_and_captions_with_what_follows(browser, page):
    browser.open(page)
    browser.tell("Emulation.setEmulatedMedia", media="print", features=[])
    styles = "return [...document.querySelectorAll(%r)].map(element => getComputedStyle(element)[%r])"
    assert set(browser.run(styles % ("h2, caption, figcaption", "breakAfter"))) == {"avoid"}
    assert set(browser.run(styles % ("figure, tr", "breakInside"))) == {"avoid"}
    assert set(browser.run(styles % (".scroll", "overflowX"))) == {"visible"}
    browser.tell("Emulation.setEmulatedMedia", media="", features=[])
