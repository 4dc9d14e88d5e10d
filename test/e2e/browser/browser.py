"""Use a JupyterHub as people do, in a headless browser.

    python browser.py URL PICTURES

Each line of standard input is what a person does, as JSON, and gets one line of standard output that says what he saw:

    {"user": "alice", "do": "log_in", "password": "…"}     {"profiles": […]}
    {"user": "alice", "do": "start", "profile": "small"}   {"url": "…", "progress": […], "refused": "…"}

Users have their own cookies, as if each had a browser. Where something isn't seen in time the line is {"error": "…"},
and PICTURES gets a picture of the page.
"""

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, sync_playwright
from playwright.sync_api import TimeoutError as TooLate

# As root there is no sandbox. Without the others the browser looks for its maker's servers, which are out of reach.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SOON = 60_000  # ms; for a page
A_START = 180_000  # ms; for a server
A_MOMENT = 10_000  # ms; for what costs nothing
ATTEMPTS = 6

# The page shows each message for as long as the next one takes, and is gone when the server is there.
RECORD_PROGRESS = """
document.addEventListener("DOMContentLoaded", () => {
  const log = document.getElementById("progress-log");
  if (!log) return;
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) recordProgress(node.textContent.trim());
  }).observe(log, {childList: true});
});
"""

REFUSED = ".spawn-error-msg, #progress-bar.bg-danger, div.error"
LAB = "#jp-main-dock-panel"


class Person:
    """A user at a browser. What the methods return is what he saw."""

    def __init__(self, browser: Browser, url: str, name: str, pictures: Path) -> None:
        self.url, self.name, self.pictures = url, name, pictures
        self.progress: list[str] = []
        context = browser.new_context(viewport={"width": 1000, "height": 720})
        context.set_default_timeout(SOON)
        context.expose_function("recordProgress", lambda message: self.progress.append(message))
        context.add_init_script(RECORD_PROGRESS)
        self.page: Page = context.new_page()

    def log_in(self, password: str) -> dict[str, Any]:
        self.page.goto(f"{self.url}/hub/login")
        self.page.fill("#username_input", self.name)
        self.page.fill("#password_input", password)
        self.page.click("#login_submit")
        self.page.wait_for_selector("#start")
        return {"url": self.page.url}

    def form(self, server: str = "", picture: str = "") -> dict[str, Any]:
        """Open the form, and tell which profiles it offers and which choices there are."""
        self._open_form(server)
        profiles = {}
        for radio in self.page.locator("input[name=profile]").all():
            slug = radio.get_attribute("value") or ""
            selects = self.page.locator(f"select[name^='profile-option-{slug}--']")
            profiles[slug] = {
                (select.get_attribute("name") or "").split("--")[-1]: [
                    option.get_attribute("value") for option in select.locator("option").all()
                ]
                for select in selects.all()
            }
        self._picture(picture)
        return {"profiles": profiles, "text": self._text()}

    def start(self, server: str = "", picture: str = "", **choices: Any) -> dict[str, Any]:
        """Start a server: with what the form offers (profile, options), or at once where there is no form."""
        self.progress.clear()  # where there is no form, opening it starts the server
        self._open_form(server)
        if self.page.locator("#spawn_form").count():
            self._fill(**choices)
            self.page.click("#spawn_form button[type=submit]")
        return self._await_server(picture)

    def forge(self, fields: dict[str, str], server: str = "", picture: str = "") -> dict[str, Any]:
        """Send the form with values that it didn't offer."""
        self.progress.clear()
        self._open_form(server)
        self.page.evaluate(
            """(fields) => {
              const form = document.getElementById("spawn_form");
              for (const name of ["profile", ...Object.keys(fields)])
                form.querySelectorAll(`[name="${name}"]`).forEach((element) => element.remove());
              for (const [name, value] of Object.entries(fields)) {
                const input = Object.assign(document.createElement("input"), {type: "hidden", name, value});
                form.append(input);
              }
            }""",
            fields,
        )
        self.page.click("#spawn_form button[type=submit]")
        return self._await_server(picture)

    def run(self, code: str, server: str = "", picture: str = "") -> dict[str, Any]:
        """Run a cell of a new notebook, and tell what it printed. It may run twice, where the kernel is slow."""
        page = self.page
        page.goto(f"{self.url}/user/{self.name}/{server + '/' if server else ''}lab?reset")
        page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
        page.wait_for_selector(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=A_START)
        cell = page.locator(".jp-Notebook .jp-Cell").first
        cell.locator(".cm-content").click()
        page.keyboard.insert_text(code)
        # A kernel that is idle may not listen yet. Then nothing comes of it, and the cell goes on looking untouched.
        for _ in range(ATTEMPTS):
            cell.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
            try:
                cell.locator(".jp-InputPrompt", has_not_text="[ ]:").wait_for(timeout=A_MOMENT)
                break
            except TooLate:
                continue
        output = cell.locator(".jp-OutputArea-output")
        output.first.wait_for()
        self._picture(picture)
        return {"printed": output.first.inner_text().strip()}

    def visit(self, path: str, picture: str = "") -> dict[str, Any]:
        answer = self.page.goto(f"{self.url}{path}")
        self._picture(picture)
        return {"url": self.page.url, "status": answer.status if answer else 0, "text": self._text()}

    def stop(self) -> dict[str, Any]:
        """Stop the default server, and see that it is stopped."""
        self.page.goto(f"{self.url}/hub/home")
        self.page.click("#stop")
        self.page.wait_for_selector("#start:has-text('Start')", timeout=A_START)
        self.page.wait_for_selector("#stop", state="hidden", timeout=A_START)
        return {"url": self.page.url}

    def _open_form(self, server: str) -> None:
        self.page.goto(f"{self.url}/hub/spawn/{self.name}" + (f"/{server}" if server else ""))

    def _fill(self, profile: str = "", options: dict[str, str] | None = None) -> None:
        if profile:
            self.page.check(f"#profile-item-{profile}")
        for option, choice in (options or {}).items():
            self.page.select_option(f"#profile-option-{profile}--{option}", choice)

    def _await_server(self, picture: str) -> dict[str, Any]:
        """Wait for JupyterLab, or for the hub's word why there is none."""
        if picture:
            told = f"#progress-log > :nth-child(3), {REFUSED}, {LAB}"
            self.page.wait_for_selector(told, state="attached", timeout=A_START)
            self.page.evaluate("document.getElementById('progress-details')?.setAttribute('open', '')")
            self._picture(picture)
        seen = self.page.wait_for_selector(f"{LAB}, {REFUSED}", state="attached", timeout=A_START)
        refused = ""
        if seen and not seen.evaluate(f"element => element.matches('{LAB}')"):
            said = self.page.locator(".spawn-error-msg, #progress-message, div.error")
            refused = said.first.inner_text()
        return {"url": self.page.url, "progress": list(self.progress), "refused": refused}

    def _text(self) -> str:
        return self.page.inner_text("body")

    def _picture(self, name: str) -> None:
        if name:
            self.page.screenshot(path=self.pictures / f"{name}.png")


def main(url: str, pictures: Path) -> None:
    people: dict[str, Person] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for line in sys.stdin:
            step = json.loads(line)
            name, verb = step.pop("user"), step.pop("do")
            if name not in people:
                people[name] = Person(browser, url, name, pictures)
            person = people[name]
            try:
                seen = getattr(person, verb)(**step)
            except Error as error:
                person.page.screenshot(path=pictures / f"failed-{name}-{verb}.png")
                seen = {"error": f"{error}\n{person.page.url}\n{person.page.inner_text('body')[:2000]}"}
            print(json.dumps(seen), flush=True)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
