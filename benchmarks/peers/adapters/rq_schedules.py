"""What `rq cron` reads: its schedules know five fields and, with croniter, a sixth for seconds at the end."""

from __future__ import annotations

import bench
import rq_tasks
from rq import cron

for _ in range(bench.SCHEDULES):
    cron.register(rq_tasks.tick, queue_name="default", cron=bench.CRON, result_ttl=0)
