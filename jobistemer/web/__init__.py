"""The dashboard: pages about one namespace and actions on it, drawn on the server, without a database of its own.

command       `jobistemer dashboard`
settings      what it is told: read-only or not, who acts, the token, the names it answers to
application   the routes
dashboard     what pages and actions share
guard, entrance, logging_in   what stands before every request: its host, who asks; and the headers of every answer
acting, forms, seals   what a form has to bring; what browsers keep for us, signed
actions       everything that changes something, as a table
answers       errors as pages
drawing, paging   templates; how times and states are written; lists page by page
overview, jobs, occurrences, runs, queues, members, letters, finding   the pages
timeline, gantt   pictures as shapes, computed here and drawn by templates
serving       the server process

Only `command` and `settings` can be imported without the extra `jobistemer[dashboard]`.
"""
