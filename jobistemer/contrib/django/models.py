"""The table of the outbox, and the entry of the dashboard in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models


class OutboxCall(models.Model):
    """A call that is stored and not sent yet. due_ms: Unix milliseconds before which it is not sent."""

    run_id = models.CharField(max_length=64, unique=True)
    call = models.TextField()
    due_ms = models.BigIntegerField(default=0)
    error = models.TextField(default="", blank=True)

    class Meta:
        """The name of the table, which says whose it is."""

        db_table = "jobistemer_outbox"
        indexes: ClassVar[list[Any]] = [models.Index(fields=["due_ms", "id"], name="jobistemer_outbox_due")]
        verbose_name = "stored call"

    def __str__(self) -> str:
        return str(self.run_id)


class DashboardLink(models.Model):
    """It has no table: its page in the admin leads to the dashboard."""

    class Meta:
        """No table; permissions to look at the dashboard, and to act there."""

        managed = False
        default_permissions = ("view", "change")
        verbose_name_plural = "dashboard"

    def __str__(self) -> str:
        return "dashboard"
