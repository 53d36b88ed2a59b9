"""A headless Chromium by the WebDriver protocol: open a page in some width and colour scheme, ask it, look at it."""

import base64
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


def why_no_browser() -> str | None:
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (apt-get install chromium chromium-driver)" if missing else None


class Browser:
    """One browser with an empty profile; use it in a `with`."""

    def __init__(self, profile: Path) -> None:
        command = [str(shutil.which("chromedriver")), "--port=0"]
        self.driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.session = ""
        self.profile = profile

    def __enter__(self) -> "Browser":
        assert self.driver.stdout is not None
        line = next(line for line in self.driver.stdout if "started successfully" in line)
        port = re.findall(r"port (\d+)", line)[0]
        self.address = f"http://127.0.0.1:{port}/session"
        options = {"binary": shutil.which("chromium"), "args": [*ARGUMENTS, f"--user-data-dir={self.profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = "/" + self.ask("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.session:
                self._send("", None, "DELETE")
        finally:
            self.driver.terminate()
            self.driver.communicate(timeout=20)

    def ask(self, what: str, content: dict[str, Any]) -> Any:
        return self._send(what, content, "POST")

    def _send(self, what: str, content: dict[str, Any] | None, method: str) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.address + self.session + what, body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.ask("/url", {"url": page.resolve().as_uri()})

    def tell(self, command: str, **parameters: Any) -> Any:
        return self.ask("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script: str) -> Any:
        return self.ask("/execute/sync", {"script": script, "args": []})

    def errors(self) -> list[str]:
        """Messages of the console at the level of a warning or above since the last call."""
        return [line["message"] for line in self.ask("/se/log", {"type": "browser"}) if line["level"] != "INFO"]

    def screenshot(self, path: Path) -> None:
        """The whole page, not only what fits the window."""
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
