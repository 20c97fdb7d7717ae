"""Links with which a person answers the question of a run: the same that the dashboard shows, made by an application.

    links = AnswerLinks(app, "https://shop.example/admin/jobs")     # where the dashboard is shown

    @app.task
    def close_account(customer: str, ctx: Context) -> bool | None:
        ctx.step("mail", send_mail, customer, links.build(ctx.run, "close", "ann"))
        return ctx.wait_for("close", bool, ask="Close the account of {customer}?", by=["ann"])

It needs `pip install 'jobistemer[dashboard]'`.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final
from urllib.parse import urlsplit

from jobistemer.app import Jobistemer, RunHandle
from jobistemer.contrib.app_check import check_app
from jobistemer.core.checks import check_author, check_id, show
from jobistemer.core.errors import Misconfigured, ServerRefused
from jobistemer.core.handlers.step_journal import build_identity
from jobistemer.core.safe_text import hide_secrets
from jobistemer.runtime.offload import twin
from jobistemer.store.shared_secrets import read_shared_secret
from jobistemer.web.security.signing import AnswerLink, Signer, build_forms_signer, derive_key, encode_link
from jobistemer.web.shared.settings import check_token

URL_VARIABLE: Final = "JOBISTEMER_DASHBOARD_URL"
TOKEN_VARIABLE: Final = "JOBISTEMER_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable
_URL: Final = re.compile(r"https?://[\w.:\[\]-]+(/[\w.~%/-]*)?", re.ASCII | re.IGNORECASE)


class AnswerLinks:
    """Makes links to the questions of the runs of an app.

    url: the address of the dashboard as browsers reach it, with its path; by default JOBISTEMER_DASHBOARD_URL.
    token: that of the dashboard, by default JOBISTEMER_DASHBOARD_TOKEN; "" for a dashboard without one, as those are
    that are mounted in an application: its key stands on the server, where the user of this process has to be allowed
    to read it (role operator). Each link is signed with the key of now: when it is removed from the server, or the
    server is emptied, all earlier links lose their value. The token itself is in no link.
    Raises Misconfigured for what is no app, for an address that browsers cannot open, and when no secret is there to
    sign with.
    """

    def __init__(self, app: Jobistemer, url: str | None = None, *, token: str | None = None) -> None:
        self._app = check_app("AnswerLinks", app)
        self._url = _check_url(os.environ.get(URL_VARIABLE, "") if url is None else url)
        self._signer = _build_signer(os.environ.get(TOKEN_VARIABLE) if token is None else token)

    def build(self, run: str | RunHandle[Any], name: str, person: str) -> str:
        """Return the address of the form that answers the wait of a run, valid for 30 days from now.

        run: its id or its handle. name: of the wait, which need not have begun. person: who answers, one of `by` when
        the wait names people. Whoever has the link may answer in the name of the person whenever the run asks under
        this name, so send it to nobody else. Whether the run asks is found out when the link is opened.
        Raises InvalidInput for an id or a person, InvalidStep for a name, and, where the key stands on the server,
        ServerRefused or NotConnected.
        """
        run_id = run.id if isinstance(run, RunHandle) else check_id("run id", run)
        link = AnswerLink(run_id, build_identity(name), check_author(person))
        return f"{self._url}/answer/{encode_link(self._signer or Signer(_read_key(self._app)), link)}"

    build_async = twin(build)


def _check_url(url: str) -> str:
    if url == "":
        raise Misconfigured(
            f"the address of the dashboard is missing: AnswerLinks(app, 'https://jobs.example'), or set {URL_VARIABLE}"
        )
    if not isinstance(url, str) or not _is_address(url):
        shown = show(hide_secrets(url) if isinstance(url, str) else url)
        raise Misconfigured(f"the address of the dashboard is {shown}; allowed is https://jobs.example/admin/jobs")
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(_URL.fullmatch(url) and parts.hostname and parts.port != 0)
    except ValueError:
        return False


def _build_signer(token: str | None) -> Signer | None:
    """Return what signs with a token; None where the key stands on the server. Raises Misconfigured."""
    if token is None:
        raise Misconfigured(
            f"no secret to sign links with: give the token of the dashboard, token=… or {TOKEN_VARIABLE}; "
            "token='' is for a dashboard without one, such as a mounted dashboard"
        )
    return build_forms_signer(derive_key(check_token(token))) if token else None


def _read_key(app: Jobistemer) -> bytes:
    # An empty key would be a random one, and links that no dashboard accepts.
    app.namespace.connect()
    try:
        key = read_shared_secret(app.namespace.settings)
    except ServerRefused as error:
        raise ServerRefused(
            f"the key for links cannot be read; the role operator may, or give the dashboard a token: {error}"
        ) from None
    if not key:
        raise ServerRefused("the server keeps no key for links: it was removed as soon as it was made")
    return key
