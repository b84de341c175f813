"""A real headless Chromium for the tests of the console's page; skips where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

FLAGS = ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run")
WIDE, PHONE = (1400, 1000), (360, 740)


class Browser:
    """One window. ``run`` executes JavaScript in the page."""

    def __init__(self) -> None:
        webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
        program, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
        if not program or not driver:
            pytest.skip("no browser here: apt-get install chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = program
        # Chromium's sandbox refuses to run as root, as which containers test.
        for flag in (*FLAGS, *(("--no-sandbox",) if os.geteuid() == 0 else ())):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver: Any = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        self.driver.set_page_load_timeout(90)

    def close(self) -> None:
        self.driver.quit()

    def resize(self, size: tuple[int, int], dark: bool = False) -> None:
        """Size of the page in CSS px, and which colors its reader prefers."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        """A real click, which fails when the element is hidden or covered."""
        self.driver.find_element("css selector", selector).click()

    def write(self, selector: str, text: str) -> None:
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def texts(self, selector: str) -> list[str]:
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)

    def errors(self) -> list[str]:
        """What the browser complained of since the last call: exceptions, refused loads, violations of the policy."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def has(self, selector: str, words: str = "") -> Callable[[], bool]:
        """A condition for ``LiveGraph.wait``: an element of this kind holds these words."""
        return lambda: any(words in text for text in self.texts(selector))
