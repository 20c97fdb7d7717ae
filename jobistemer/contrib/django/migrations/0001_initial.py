"""The table of the outbox."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the table."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[object]] = [
        migrations.CreateModel(
            name="OutboxCall",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(max_length=64, unique=True)),
                ("call", models.TextField()),
                ("due_ms", models.BigIntegerField(default=0)),
                ("error", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name": "stored call",
                "db_table": "jobistemer_outbox",
                "indexes": [models.Index(fields=["due_ms", "id"], name="jobistemer_outbox_due")],
            },
        ),
        migrations.CreateModel(
            name="DashboardLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={"managed": False, "default_permissions": ("view", "change"), "verbose_name_plural": "dashboard"},
        ),
    ]
