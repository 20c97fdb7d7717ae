"""The dashboard: pages about one namespace and actions on it, drawn on the server, without a database of its own.

command       `jobistemer dashboard`
settings      what it is told: read-only or not, who acts, the token, the names it answers to
application   the routes
guard         what stands before every request: its host, who asks, cross-site forgery; and the headers of every answer
seals         what browsers keep for us, signed
drawing       templates, and how times and states are written
actions       everything that changes something, as a table
answers       errors as pages
overview, jobs, occurrences, runs, queues, members, letters   the pages
timeline, gantt   pictures as shapes, computed here and drawn by templates
serving       the server process

Only `command` and `settings` can be imported without the extra `jobistemer[dashboard]`.
"""
