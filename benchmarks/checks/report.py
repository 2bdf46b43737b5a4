"""Opens a report in a real headless Chromium and checks what a reader would do with it.

    pip install playwright
    python benchmarks/checks/report.py report.html --chromium /usr/bin/chromium -o shots

Checked: no message on the console, no request leaves the page, tables sort, the theme switches,
the pointer and the arrow keys read charts, a figure enlarges; screenshots (desktop, dark, phone)
and a PDF go to the folder for a person to look at. Prints how long the page took to open.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

VIEWS = {"desktop": (1280, 900), "phone": (390, 844)}


def sort_by(page: Any, title: str) -> list[str]:
    """Click a column's title; the table's first column of figures, top down."""
    table = page.locator("table.sortable").first
    heads = table.locator("thead th")
    column = [heads.nth(i).inner_text().strip(" ↕↑↓") for i in range(heads.count())].index(title)
    heads.nth(column).locator("button").click()
    rows = table.locator("tbody tr")
    return [
        rows.nth(i).locator("th, td").nth(column).inner_text().split(" ")[0]
        for i in range(rows.count())
    ]


def check_sorting(page: Any) -> None:
    for descending in (False, True):
        cells = [float(v) for v in sort_by(page, "MC AUC") if v != "-"]
        assert cells == sorted(cells, reverse=descending), cells


def check_theme(page: Any) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    assert page.evaluate(paper) != light, "the theme button changes nothing"
    page.click("#theme")
    assert page.evaluate(paper) == light


def check_charts(page: Any) -> None:
    chart = page.locator(".chart").first
    chart.scroll_into_view_if_needed()
    box = chart.locator("svg").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
    pointed = chart.locator(".readout").inner_text()
    assert "efficiency" in pointed, pointed
    chart.locator("svg").first.focus()
    page.keyboard.press("ArrowRight")
    assert chart.locator(".readout").inner_text() != pointed, "arrow keys move nothing"


def check_viewer(page: Any) -> None:
    page.locator("button.zoom").first.click()
    assert page.locator("#viewer").evaluate("d => d.open")
    assert page.locator("#viewer img").evaluate("i => i.naturalWidth") > 0
    page.click("#viewer [data-zoom='1']")
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").evaluate("d => d.open")


def check_figures(page: Any) -> int:
    page.wait_for_function("[...document.querySelectorAll('figure img')].every(i => i.complete)")
    images = page.locator("figure img")
    broken = images.evaluate_all("list => list.filter(i => !i.naturalWidth).length")
    assert broken == 0, f"{broken} figures do not show"
    return int(images.count())


def look(browser: Any, url: str, name: str, folder: Path, *, dark: bool = False) -> None:
    width, height = VIEWS[name]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    start = time.perf_counter()
    page.goto(url, wait_until="load")
    opened = time.perf_counter() - start
    figures = check_figures(page)
    ready = time.perf_counter() - start
    page.screenshot(path=folder / f"{name}{'_dark' if dark else ''}.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"the page is {wide} pixels wider than the screen"
    check_sorting(page)
    check_theme(page)
    check_charts(page)
    check_viewer(page)
    outside = [r for r in requests if not r.startswith(("file:", "blob:", "data:"))]
    assert not messages, messages
    assert not outside, outside
    if name == "desktop" and not dark:
        page.pdf(path=folder / "print.pdf", format="A4")
    print(
        f"{name}{' dark' if dark else ''}: opened in {opened:.2f} s, {figures} figures in "
        f"{ready:.2f} s, no message, no request, sorting, theme, charts, enlarging work"
    )
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--chromium", help="the browser's program; default playwright's own")
    parser.add_argument("-o", "--output", type=Path, default=Path("shots"))
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    args.output.mkdir(parents=True, exist_ok=True)
    size = args.report.stat().st_size / 1e6
    print(f"{args.report}: {size:.2f} MB")
    url = args.report.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        look(browser, url, "desktop", args.output)
        look(browser, url, "desktop", args.output, dark=True)
        look(browser, url, "phone", args.output)
        browser.close()


if __name__ == "__main__":
    main()
