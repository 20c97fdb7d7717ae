"""The admin: a link to the dashboard, and the calls that are stored and not sent yet."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse

from jobistemer.contrib.django.models import DashboardLink, OutboxCall
from jobistemer.contrib.django.project import read_settings
from jobistemer.core.errors import Misconfigured


@admin.register(OutboxCall)
class OutboxCallAdmin(admin.ModelAdmin):
    """Stored calls: looked at and deleted, never made or changed by hand."""

    list_display = ("run_id", "due_ms", "error")
    readonly_fields = ("run_id", "call", "due_ms", "error")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Return False."""
        return False


@admin.register(DashboardLink)
class DashboardAdmin(admin.ModelAdmin):
    """An entry that leads to the dashboard."""

    def changelist_view(self, *_: Any, **__: Any) -> HttpResponseRedirect:
        """Lead to the dashboard: to the setting DASHBOARD_URL, else to where the URLconf of the project has it.

        Raises Misconfigured when neither says it.
        """
        if found := read_settings().get("DASHBOARD_URL"):
            return HttpResponseRedirect(found)
        try:
            return HttpResponseRedirect(reverse("jobistemer:dashboard", args=[""]))
        except NoReverseMatch:
            raise Misconfigured(
                "the dashboard is nowhere in this project: put "
                'path("jobs/", include("jobistemer.contrib.django.urls")) into its URLconf, or name its address in '
                "JOBISTEMER['DASHBOARD_URL']"
            ) from None

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Return False."""
        return False
