"""Somebody with a browser: looks at pages of a dashboard, and presses the buttons that are on them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx2
from starlette.testclient import TestClient

from jobistemer.store.namespace import Namespace
from jobistemer.web.application import make_application
from jobistemer.web.dashboard.settings import DashboardSettings

AT = "http://localhost:8787"
_MARK = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class DashboardClient:
    """Keeps cookies, follows redirects after an action, as browsers do."""

    def __init__(self, namespace: Namespace, **settings: Any) -> None:
        self.application = make_application(namespace, DashboardSettings(**{"by": "ana", **settings}))
        self.client = TestClient(self.application, base_url=AT, follow_redirects=False)

    def look(self, path: str, status: int = 200) -> str:
        """The text of a page."""
        answer = self.client.get(path)
        assert answer.status_code == status, (path, answer.status_code, HtmlPage(answer.text).text)
        return answer.text

    def send(self, action: str, *targets: str, mark: str | None = None, **fields: Any) -> httpx2.Response:
        """What is answered to the form of an action; headers may be given as `headers`."""
        headers = fields.pop("headers", {"origin": AT})
        form = {"target": list(targets), "csrf": self.mark() if mark is None else mark, "back": "/queues", **fields}
        return self.client.post(f"/actions/{action}", data=form, headers=headers)

    def press(self, action: str, *targets: str, **fields: Any) -> str:
        """Do it, confirmed; the page that it leads back to."""
        answer = self.send(action, *targets, confirmed="yes", **fields)
        assert answer.status_code == 303, (answer.status_code, answer.text[:800])
        return self.look(answer.headers["location"])

    def mark(self) -> str:
        """What a form of this visitor's pages carries."""
        found = _MARK.search(self.look("/login" if self._locked() else "/actions-are-nowhere", 200 if self._locked() else 404))
        return found[1] if found else self.application.state.dashboard.signer.sign(
            "form", self.client.cookies["jobistemer_session"]
        )

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
