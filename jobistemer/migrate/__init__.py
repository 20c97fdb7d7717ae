"""Move from another engine: read its tasks and schedules, write them as a module of jobs, and report what differs.

    found           what a reader has found: tasks, jobs, remarks
    loading         import the application that is moved, and name its functions
    fields          fields of a schedule as sets of numbers, to a cron expression
    celery_app, rq_module, apscheduler_jobs, arq_settings, crontab_file       one reader for each engine
    compare         the instants of both engines, side by side
    source_text, module_text, report_text       what is written

The engine that is moved has to be installed, except for crontabs. The room imports `core` and nothing of the roles:
reading and writing need no server.
"""
