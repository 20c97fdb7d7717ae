"""The pages of the dashboard: each reads its values from `store.reads` and renders a template.

May import the other packages of `web`, `control`, `store` and `core`.
"""
