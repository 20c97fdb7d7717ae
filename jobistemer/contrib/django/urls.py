"""The addresses of the dashboard, for the URLconf of a project.

# urls.py
urlpatterns = [path("jobs/", include("jobistemer.contrib.django.urls")), ...]

It needs the extra `jobistemer[dashboard]`. `path("jobs/", include(…), {"read_only": True})` refuses actions.
"""

from __future__ import annotations

from django.urls import re_path

from jobistemer.contrib.django.dashboard import show_dashboard

app_name = "jobistemer"
urlpatterns = [re_path(r"^(?P<path>.*)$", show_dashboard, name="dashboard")]
