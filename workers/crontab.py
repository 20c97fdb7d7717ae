"""What runs the jobs that `jobistemer crontab import` makes: an app with the task `shell`, and nothing else.

    jobistemer crontab import /etc/crontab
    jobistemer-ticker
    jobistemer-worker workers.crontab:app --allow-shell '*'
"""

from __future__ import annotations

from jobistemer import Jobistemer
from jobistemer.contrib import shell

app = Jobistemer()
shell.install(app)
