"""Make sure the browser tests have a Chromium: the system's, else Playwright's, else Debian's.

Without one, CI fails and a desk is told what to do; see ``find_browser``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REMEDY = "Install one: apt-get install chromium, or .venv/bin/playwright install chromium."
DOWNLOAD_TIMEOUT_S = 300


def find_browser() -> str | None:
    """Return the path of a Chromium that is installed, or None."""
    candidates = [shutil.which(name) for name in NAMES]
    candidates += ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", _playwright_browser()]
    return next((path for path in candidates if path and _starts(path)), None)


def _playwright_browser() -> str:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _starts(path: str) -> bool:
    """True when it runs: a downloaded one may lack the system's libraries."""
    if not Path(path).exists():
        return False
    command = [path, "--headless", "--no-sandbox", "--version"]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, check=False, timeout=DOWNLOAD_TIMEOUT_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
        return False


def main() -> int:
    """Provide a browser; 1 when there is none and CI insists."""
    if find_browser():
        return 0
    if _run(sys.executable, "-m", "playwright", "install", "chromium") and find_browser():
        return 0
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        _run("apt-get", "update", "--quiet")
        _run("apt-get", "install", "--yes", "--quiet", "chromium")
    if find_browser():
        return 0
    sys.stderr.write(f"There is no Chromium, so the browser tests cannot run. {REMEDY}\n")
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    raise SystemExit(main())
