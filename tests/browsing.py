"""Pages in a real browser, where Chromium is installed, without a network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a headless browser that can only open files; skip the test where there is none."""
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        yield driver
    finally:
        driver.quit()


def open_page(browser: Any, page: Path, width: int) -> None:
    """Open a file on a screen ``width`` pixels wide, and wait until it is loaded."""
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(page.as_uri())
    # On a busy machine the browser may answer before it has loaded the page.
    wait_for(browser, "document.readyState == 'complete' && document.links.length > 0")


def wait_for(browser: Any, condition: str) -> None:
    """Wait until a condition in JavaScript holds.

    Raises:
        AssertionError: the condition does not hold within a minute.
    """
    deadline = time.monotonic() + 60
    while not browser.execute_script(f"return {condition}"):
        assert time.monotonic() < deadline, condition
        time.sleep(0.1)


def wider_than_the_screen(browser: Any) -> bool:
    """Tell whether the page is wider than the screen, so that one has to scroll sideways."""
    root = "document.documentElement"
    return browser.execute_script(f"return {root}.scrollWidth > {root}.clientWidth")
