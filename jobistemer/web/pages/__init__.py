"""The pages of the dashboard: each reads what it shows from `store.reads` and renders a template.

May import the other rooms of `web`, `control`, `store` and `core`.
"""
