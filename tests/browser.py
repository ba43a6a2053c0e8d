"""A headless Chromium that drives the explorer, for its tests and its benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time

import pytest

from minitms.explorer.build import PAGE

NAMES = "chromium", "chromium-browser", "google-chrome"
CHROMIUM, DRIVER = next(filter(None, map(shutil.which, NAMES)), None), shutil.which("chromedriver")
HOURGLASS = 60  # seconds that anything on the page may take on a busy machine


@contextlib.contextmanager
def chromium(*flags):
    """A browser without a network; a test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars",
                 "host-resolver-rules=MAP * ~NOTFOUND", *flags):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    quiet = webdriver.ChromeService(executable_path=DRIVER, log_output=os.devnull)
    driver = webdriver.Chrome(options=options, service=quiet)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """The page in a browser."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, url=None, *, width=1600, height=1000, theme="light", motion="no-preference"):
        """Open the page anew in a window of this size."""
        self.emulate("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": motion}
        ])  # fmt: skip
        self.size(width, height)
        self.driver.get("about:blank")  # a page that differs in its #hash alone would not be opened anew
        self.driver.get(url or PAGE.as_uri())

    def size(self, width, height):
        self.emulate("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                     mobile=width < 500)

    def emulate(self, command, **arguments):
        self.driver.execute_cdp_cmd(command, arguments)

    def run(self, script, **names):
        """What a script returns, with `tms` for the page's numerics; the names are its variables."""
        lines = "".join(f"const {name} = {json.dumps(value)};" for name, value in names.items())
        return self.driver.execute_script(f"const tms = window.minitms; {lines} {script}")

    def wait(self, condition, **names):
        """Until the condition, a JavaScript expression, is true."""
        end = time.monotonic() + HOURGLASS
        while not self.run(f"return Boolean({condition})", **names):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.02)

    def show(self, panel):
        """Open a panel by its tab."""
        self.find(f"#tab-{panel}").click()
        self.wait("!document.getElementById(panel).hidden", panel=panel)

    def press(self, selector, *names):
        """Press keys on an element: those that selenium has a name for, or letters."""
        from selenium.webdriver import Keys

        self.find(selector).send_keys(*(getattr(Keys, name, name) for name in names))

    def mouse(self, *places):
        """Press the mouse at the first place of the window, move it by way of the others, and let go."""
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self.driver, duration=20).w3c_actions
        for k, place in enumerate(places):
            chain.pointer_action.move_to_location(*map(round, place))
            if k == 0:
                chain.pointer_action.pointer_down()
        chain.pointer_action.pointer_up()
        chain.perform()

    def finger(self, *places):
        """The same by a finger on the screen."""
        self.emulate("Emulation.setTouchEmulationEnabled", enabled=True)
        kinds = ["touchStart"] + ["touchMove"] * (len(places) - 1)
        for kind, (x, y) in zip(kinds, places, strict=True):
            self.emulate("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self.emulate("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.emulate("Emulation.setTouchEmulationEnabled", enabled=False)

    def place(self, selector, across=0.5, down=0.5):
        """A place inside an element, in the window, after scrolling to it."""
        return self.run(
            """const found = document.querySelector(selector); found.scrollIntoView({block: "center"});
               const {left, top, width, height} = found.getBoundingClientRect();
               return [left + across * width, top + down * height]""",
            selector=selector, across=across, down=down,
        )  # fmt: skip

    def in_python(self):
        """Run the code that the page offers, and return its names."""
        names = {}
        exec(self.text("#code"), names)
        return names

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.run("return document.querySelector(selector).textContent", selector=selector)

    def log(self):
        """What the console holds."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
