"""The page in a headless Chromium; skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serving.conftest import Served, wav

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
_FAKES = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as tools:
        own = tools.chromium.executable_path
        found = own if Path(own).exists() else next(filter(None, map(shutil.which, _NAMES)), None)
        if found is None:
            pytest.skip("no Chromium: `playwright install chromium`, or one on the PATH")
        browser = tools.chromium.launch(executable_path=found, args=["--no-sandbox", *_FAKES])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The page, loaded; scripts that fail and requests to other machines fail the test."""
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    # the content security policy complains on the console
    page.on("console", lambda said: said.type == "error" and problems.append(said.text))
    page.on(
        "request",
        lambda asked: (
            asked.url.startswith((served.url, "data:", "blob:")) or problems.append(asked.url)
        ),
    )
    page.goto(served.url)
    page.wait_for_selector("#limits:has-text('MB')")
    yield page
    page.close()
    assert problems == []


def offer(page: Page, audio: bytes, name: str = "talk.wav") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": audio})


def test_a_recording_is_transcribed_by_keyboard_alone(page: Page, tmp_path: Path) -> None:
    assert page.locator("#go").is_disabled()
    offer(page, wav("bado kuku dada oko"))
    page.focus("#language")
    page.wait_for_selector("[role=option]")
    page.keyboard.type("swah")
    page.wait_for_selector("[role=option][aria-selected=true] >> text=Swahili")
    page.keyboard.press("Enter")
    page.wait_for_selector("#expect")
    assert page.inner_text("#badge") == "trained on"
    assert page.inner_text("#advice").startswith("Swahili (swh): trained on")
    assert page.locator("#nearest li").count() == 3
    page.keyboard.press("Enter")  # submits the form
    page.wait_for_selector("#result")
    page.keyboard.press("Tab")
    words = page.locator(".word")
    text = " ".join(words.all_inner_texts())
    assert words.count() > 0
    words.first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("!document.getElementById('player').paused")
    for kind in ("txt", "srt", "vtt", "tsv", "json"):
        with page.expect_download() as waiting:
            page.click(f"#downloads >> text={kind}")
        assert waiting.value.suggested_filename == f"talk.{kind}"
        waiting.value.save_as(tmp_path / kind)
    assert (tmp_path / "txt").read_text() == text + "\n"
    assert json.loads((tmp_path / "json").read_text())["text"] == text


def test_what_the_server_refuses_is_shown(page: Page) -> None:
    offer(page, bytes(2_000_000), "long.wav")
    assert "up to 1 MB" in page.inner_text("#error")
    page.fill("#language", "swahilii")
    page.wait_for_selector("#language-note:has-text('did you mean')")
    page.fill("#language", "fin")
    page.click("[role=option] >> text=Finnish")
    offer(page, wav("bado"))
    assert page.is_hidden("#error")


def test_it_records(page: Page) -> None:
    page.click("#record")
    page.wait_for_selector("#record-text:has-text('Stop')")
    page.wait_for_timeout(1500)
    page.click("#record")
    page.wait_for_selector("#chosen-name:has-text('recording-')")
    page.fill("#language", "yor")
    page.click("[role=option] >> text=Yoruba")
    page.click("#go")
    page.wait_for_selector("#result")


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_runs_over_the_edge(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    offer(page, wav("bado kuku dada" * 2), "a-very-long-name-of-a-recording-" * 4 + ".wav")
    page.fill("#language", "yor")
    page.click("[role=option] >> text=Yoruba")
    page.click("#go")
    page.wait_for_selector("#result")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
