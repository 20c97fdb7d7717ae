"""The dashboard: pages about one namespace and actions on it, rendered on the server, without a database of its own.

application   the routes
server        the server process behind `jobistemer dashboard`
pages/        one function for each page; `actions` receives the forms, `errors` renders errors
dashboard/    shared by the pages: the namespace, settings, the table of actions, forms, pagination
charts/       timelines and Gantt charts as values for templates, and the environment of the templates
security/     runs before every request: allowed hosts, token and pass, security headers; signs cookies and forms

Only `dashboard.settings` can be imported without the extra `jobistemer[dashboard]`.
"""
