"""The application config: it makes the app and imports the `tasks` module of each installed application."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from jobistemer.contrib.django.project import get_app


class JobistemerConfig(AppConfig):
    """`jobistemer.contrib.django` among INSTALLED_APPS."""

    name = "jobistemer.contrib.django"
    label = "jobistemer"
    verbose_name = "Jobistemer"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the tasks of all applications. Raises Misconfigured for settings that cannot be."""
        get_app()
        autodiscover_modules("tasks")
