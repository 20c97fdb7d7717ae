"""A browser for tests: it loads pages of a dashboard and sends the forms that are on them."""

from __future__ import annotations

import re
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from html.parser import HTMLParser
from threading import Thread
from typing import Any

import anyio
import httpx2
from anyio.from_thread import BlockingPortal
from starlette.testclient import TestClient

from jobistemer.core.errors import NotConnected
from jobistemer.store.namespace import Namespace
from jobistemer.web.application import make_application
from jobistemer.web.security.cookies import name_cookies
from jobistemer.web.shared.settings import DashboardSettings

AT = "http://localhost:8787"
_CSRF_TOKEN = re.compile(r'name="csrf" value="([\w-]{43})"')


@cache
def start_portal() -> BlockingPortal:
    """Start the event loop of all browsers of this process; else each request starts a thread and a loop of its own."""
    started: Future[BlockingPortal] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            started.set_result(portal)
            await portal.sleep_until_stopped()

    Thread(target=anyio.run, args=(serve,), name="browsers of the tests", daemon=True).start()
    return started.result()


class DashboardClient:
    """A browser that keeps cookies, and follows the redirect after an action."""

    def __init__(self, namespace: Namespace, **settings: Any) -> None:
        self.application = make_application(namespace, DashboardSettings(**{"by": "ana", **settings}))
        self.client = TestClient(self.application, base_url=AT, follow_redirects=False)
        self.client.portal = start_portal()

    def look(self, path: str, status: int = 200) -> str:
        """Load a page and return its text."""
        answer = self.client.get(path)
        assert answer.status_code == status, (path, answer.status_code, HtmlPage(answer.text).text)
        return answer.text

    def send(self, action: str, *targets: str, csrf: str | None = None, **fields: Any) -> httpx2.Response:
        """Send the form of an action and return the response. `headers` replaces the headers."""
        headers = fields.pop("headers", {"origin": AT})
        form = {
            "target": list(targets),
            "csrf": self.csrf_token() if csrf is None else csrf,
            "back": "/queues",
            **fields,
        }
        return self.client.post(f"/actions/{action}", data=form, headers=headers)

    def press(self, action: str, *targets: str, **fields: Any) -> str:
        """Send the form of an action, confirmed, and return the page that it redirects to."""
        answer = self.send(action, *targets, confirmed="yes", **fields)
        assert answer.status_code == 303, (answer.status_code, answer.text[:800])
        return self.look(answer.headers["location"])

    def csrf_token(self) -> str:
        """Return the token in the forms of this browser's pages."""
        found = _CSRF_TOKEN.search(
            self.look("/login" if self._locked() else "/actions-are-nowhere", 200 if self._locked() else 404)
        )
        with suppress(NotConnected):
            # A page with a form has asked the server for the key; the page of an error has not.
            _ = self.application.state.dashboard.shards
        return found[1] if found else self.application.state.dashboard.signer.sign("form", self.cookie("session"))

    def cookie(self, kind: str) -> str:
        """Return the value of a cookie of the dashboard: session, pass or said; empty when there is none."""
        return next((each.value or "" for each in self.client.cookies.jar if each.name.endswith(f"_{kind}")), "")

    def set_cookie(self, kind: str, value: str) -> None:
        """Set a cookie of the dashboard as a browser that kept it would send it."""
        names = name_cookies(self.application.state.dashboard.namespace.name, "", "8787", secure=False)
        self.client.cookies.set({"session": names.session, "pass": names.auth, "said": names.flash}[kind], value)

    def _locked(self) -> bool:
        return bool(self.application.state.dashboard.authenticator.requires_token)


class HtmlPage(HTMLParser):
    """The tags and attributes of a page as a browser understands them, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of this name."""
        return [attributes for name, attributes in self.tags if name == tag]
