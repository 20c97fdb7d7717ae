"""A site on Django in one file: a row and its call are one transaction, and the dashboard is behind the admin.

jobistemer dev workers.django:app                  (a customer every three seconds; tables are made at the start)
python -m workers.django createsuperuser           (then runserver and, beside it, jobistemer worker)

A real project has these parts in settings.py, tasks.py and urls.py. SITE_DB names the SQLite file.
"""

import os
import sys

import django
from django.conf import settings
from django.core.management import call_command, execute_from_command_line

PARTS = [f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")]
MESSAGES = "contrib.messages.context_processors.messages"
CONTEXT = ("template.context_processors.request", "contrib.auth.context_processors.auth", MESSAGES)
LAYERS = ("sessions.middleware.Session", "auth.middleware.Authentication", "messages.middleware.Message")
settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SITE_SECRET", "for this machine only"),
    DEBUG=True,
    INSTALLED_APPS=[*PARTS, "jobistemer.contrib.django"],
    MIDDLEWARE=[*(f"django.contrib.{each}Middleware" for each in LAYERS), "django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": [f"django.{each}" for each in CONTEXT]},
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SITE_DB", "site.sqlite3")}},
    STATIC_URL="static/",
)
django.setup()

from django.contrib import admin  # noqa: E402 - Django has to be set up before
from django.contrib.auth.models import User  # noqa: E402
from django.db import transaction  # noqa: E402
from django.urls import include, path  # noqa: E402

from jobistemer import Context  # noqa: E402
from jobistemer.contrib.django import app  # noqa: E402
from jobistemer.contrib.django.outbox import DjangoOutbox  # noqa: E402

outbox = DjangoOutbox(app)


@app.on_worker_start
def make_tables() -> None:
    """Make the tables where they are missing; a real project does it when it is deployed."""
    call_command("migrate", verbosity=0)


@app.task
def welcome(customer: int) -> str:
    """Run after the commit of the customer's row, and never when it was rolled back."""
    name = User.objects.get(pk=customer).username
    print(f"welcome, {name}", flush=True)
    return name


@app.job("*/3 * * * * *", name="register")
def register(context: Context) -> None:
    """Store a row and a call in one transaction. The relay of the outbox, a job of its own, sends the call."""
    with transaction.atomic():
        # A second attempt finds the row of the first.
        customer, is_new = User.objects.get_or_create(username=f"customer-{context.due_at:%H%M%S}")
        if is_new:
            outbox.enqueue(welcome, customer=customer.pk)


urlpatterns = [path("admin/", admin.site.urls), path("jobs/", include("jobistemer.contrib.django.urls"))]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
