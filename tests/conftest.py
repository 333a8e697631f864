import os
import shutil

import pytest
import torch
from _pytest.doctest import DoctestModule
from hypothesis import settings

settings.register_profile("segup", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("segup")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """Look for examples in segup alone: no test has one, and each file would be gone through a second time."""
    return [node for node in (yield) if not isinstance(node, DoctestModule)]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests run side by side: one thread each is faster than sharing."""
    torch.set_num_threads(1)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1000,1200",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A Chromium that a test drives and whose console and network it can read; skipped where none is installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (extra dev)")
    binary = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        missing = "no Chromium with its chromedriver is installed"
        pytest.fail(missing) if os.environ.get("SEGUP_BROWSER") == "required" else pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
