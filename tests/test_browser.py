"""The explorer as a reader meets it: in JupyterLab, in a real browser, with the mouse.

Chromium is spoken to through its DevTools protocol, over the websocket client that Jupyter brings
along. A screenshot is left in build/browser/.
"""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
import websocket

from spinlib import widgets
from spinlib.notebooks import ROOT, find, read

CHROMIUM = next(
    (p for p in ("chromium", "chromium-browser", "google-chrome") if shutil.which(p)), None
)
SECONDS = 180  # for anything to happen: the kernel imports torch on a machine that may be busy

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt install chromium)"),
]


class Page:
    """A browser tab: evaluates JavaScript, moves the mouse, remembers errors."""

    def __init__(self, address: str):
        self.socket = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
        self.number = 0
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        # JupyterLab's current notebook is the one with the focus, which a headless tab has not.
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)

    def send(self, method: str, **parameters) -> dict:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert "error" not in message, (method, message)
                return message["result"]
            self._notice(message)

    def _notice(self, message: dict) -> None:
        what = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(what["exceptionDetails"])[:1000])
        elif message.get("method") == "Runtime.consoleAPICalled" and what["type"] == "error":
            self.errors.append(json.dumps(what["args"])[:1000])
        elif message.get("method") == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.errors.append(json.dumps(what["entry"])[:1000])

    def ask(self, script: str):
        answer = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, (script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, condition: str):
        """Wait until a JavaScript expression is true; return it."""
        deadline = time.monotonic() + SECONDS
        while not (found := self.ask(condition)):
            assert time.monotonic() < deadline, f"{condition} did not come true"
            time.sleep(0.2)
        return found

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        def mouse(kind: str, x: float, y: float) -> None:
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1,
                      clickCount=1)  # fmt: skip

        mouse("mousePressed", *start)
        for step in range(1, 6):
            x, y = (a + (b - a) * step / 5 for a, b in zip(start, end, strict=True))
            mouse("mouseMoved", x, y)
        mouse("mouseReleased", *end)


@pytest.fixture
def lab(tmp_path):
    """Address of a JupyterLab that serves notebook 04 alone, with settings of its own."""
    path = find()["04"]
    page = tmp_path / "notebooks" / f"{path.stem}.ipynb"
    page.parent.mkdir()
    nbformat.write(read(path), page)
    for picture in re.findall(r"!\[[^]]*\]\(\.\./([^)]+)\)", path.read_text()):
        (tmp_path / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / picture, tmp_path / picture)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {
        name: str(tmp_path / "jupyter" / name)
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
        )
    }
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    options = [
        *("--no-browser", "--allow-root", "--expose-app-in-browser", f"--port={port}"),
        *("--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=test", f"--ServerApp.root_dir={tmp_path}"),
        # Nothing may ask the network for news or extensions.
        *("--LabApp.news_url=None", "--LabApp.extension_manager=readonly"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=os.environ | places | {"PYTHONPATH": python_path},
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}/lab/tree/notebooks/{path.stem}.ipynb?token=test"
        _wait_for(address, server, tmp_path / "lab.log")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=10).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


@pytest.fixture
def page(tmp_path):
    """A tab of a headless Chromium with a profile of its own."""
    profile = tmp_path / "chromium"
    options = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
    browser = subprocess.Popen(
        [
            *(CHROMIUM, *options.split(), "--remote-debugging-port=0", "--window-size=1400,1000"),
            *(f"--user-data-dir={profile}", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        active, deadline = profile / "DevToolsActivePort", time.monotonic() + SECONDS
        while not (active.exists() and len(active.read_text().splitlines()) == 2):
            assert browser.poll() is None, "Chromium ended at once"
            assert time.monotonic() < deadline, "Chromium opened no port"
            time.sleep(0.1)
        port = active.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        yield Page(tabs[0]["webSocketDebuggerUrl"])
    finally:
        browser.terminate()
        browser.wait(30)


PICTURE = "document.querySelector('.jp-OutputArea img.widget-image')"
BYTES = f"""(async () => {{
    const bytes = await (await fetch({PICTURE}.src)).arrayBuffer();
    return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}})()"""


def test_dragging_the_slider_changes_the_picture_and_the_energy(lab, page):
    page.send("Page.navigate", url=lab)
    page.wait("window.jupyterapp?.shell.currentWidget?.content?.widgets?.length > 10")
    page.wait("jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status == 'idle'")
    page.ask(
        """(async () => {
            const pages = jupyterapp.shell.currentWidget.content;
            const tagged = cell => (cell.model.getMetadata('tags') ?? []).includes('explorer');
            pages.activeCellIndex = pages.widgets.findIndex(tagged);
            await pages.scrollToItem(pages.activeCellIndex);
            await jupyterapp.commands.execute('notebook:run-cell');
        })()"""
    )
    page.wait(f"{PICTURE}?.naturalWidth > 0")
    page.wait("document.querySelectorAll('.jp-OutputArea .noUi-handle').length >= 2")

    walk = widgets.load_walk()
    gammas = list(walk.legs)
    gamma = gammas[len(gammas) // 2]

    def shown() -> tuple[int, str, str]:
        """The position R, the reading, and the picture that the page shows."""
        position = page.ask(
            "document.querySelectorAll('.jp-OutputArea .widget-readout')[1].textContent"
        )
        reading = page.ask("document.querySelector('.jp-OutputArea .reading').textContent")
        return int(position.replace("−", "-")), reading, page.ask(BYTES)

    def energy(reading: str) -> float:
        return float(re.search(r"E/N = (\S+) J", reading)[1].replace("−", "-"))

    def check(position: int, reading: str) -> None:
        expected = walk.hamiltonian.energy_per_site(walk.decode(gamma, position)).item()
        # Shown to five digits; the kernel may sum in another order.
        assert energy(reading) == pytest.approx(expected, abs=1.1e-5)

    before = shown()
    assert before[0] == 0
    check(*before[:2])
    x, y = page.ask(
        """(() => {
            const handle = document.querySelectorAll('.jp-OutputArea .noUi-handle')[1];
            handle.scrollIntoView({block: 'center'});
            const box = handle.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        })()"""
    )
    page.drag((x, y), (x + 60, y))
    page.wait("document.querySelectorAll('.jp-OutputArea .widget-readout')[1].textContent != '0'")
    deadline = time.monotonic() + SECONDS
    while (after := shown())[1] == before[1] or after[2] == before[2]:
        assert time.monotonic() < deadline, "the picture did not change"
        time.sleep(0.2)
    time.sleep(1)  # the last of the drag's redraws
    after = shown()
    assert after[0] > 5
    check(*after[:2])
    assert base64.b64decode(after[2]).startswith(b"\x89PNG")

    folder = ROOT / "build" / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    shot = base64.b64decode(page.send("Page.captureScreenshot")["data"])
    (folder / "explorer.png").write_bytes(shot)
    assert page.errors == []
