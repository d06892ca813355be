"""Headless Chromium for the tests of pages, driven over its DevTools protocol: neither a driver nor a port is needed.

Install it with `apt-get install chromium`; the tests are skipped where it is not, unless SETI_BROWSER=required.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60  # s; long, for the machine may be busy with other work


def find() -> str | None:
    """Path of the browser that is installed, if any."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def skip() -> bool:
    """True where tests are to be skipped: no browser is installed, and none is required."""
    return find() is None and os.environ.get("SETI_BROWSER") != "required"


class Browser:
    """A browser with one tab.

    Attributes:
        errors: lines that pages have written to the console as warnings or errors, and exceptions of scripts.
        requests: addresses that pages have asked for, files and data within them left out.
    """

    def __init__(self, profile: Path) -> None:
        assert find(), "no browser is installed, and SETI_BROWSER=required: apt-get install chromium"
        # DevTools reads commands from descriptor 3 and answers on 4; the shell puts them there.
        read_end, self._commands = os.pipe()
        self._answers, write_end = os.pipe()
        words = [
            find(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        script = f'exec "$@" 3<&{read_end} 4>&{write_end}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "chromium", *words],
            pass_fds=(read_end, write_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        self._number, self._buffer, self._session = 0, b"", None
        self._loaded = False
        self.errors: list[str] = []
        self.requests: list[str] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, address: str) -> None:
        """Open a page and wait until it is loaded."""
        self._load("Page.navigate", url=address)

    def reload(self) -> None:
        """Load the page again."""
        self._load("Page.reload")

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key: a letter, or a name such as `ArrowRight`."""
        codes = {"Backspace": 8, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        code = codes.get(key, ord(key.upper()[0]))
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def choose(self, id: str, value: str) -> None:
        """Set a form's control and let the page know, as a user's choice does."""
        assigned = f"const it = document.getElementById({json.dumps(id)}); it.value = {json.dumps(value)};"
        self.run(
            f"(() => {{ {assigned} for (const kind of ['input', 'change'])"
            " it.dispatchEvent(new Event(kind, {bubbles: true})); })()"
        )

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        """Set the size of the window, and the colours that the user prefers."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def save_downloads(self, folder: Path) -> None:
        """Let pages write files into a folder."""
        session, self._session = self._session, None  # a command of the browser, not of the tab
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self._session = session

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG."""
        image = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(image["data"]))

    def close(self) -> None:
        """End the browser."""
        os.close(self._commands)  # which ends it
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)

    def _load(self, method: str, **parameters: Any) -> None:
        self._loaded = False
        self.send(method, **parameters)
        while not self._loaded:
            self._read()

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        one, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(one)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, said: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.exceptionThrown":
            self.errors.append(str(said["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.errors.append(str(said["args"]))
        elif event == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.errors.append(said["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            address = said["request"]["url"]
            if not address.startswith(("file:", "data:", "blob:", "about:")):
                self.requests.append(address)
