"""The parts that all pages of one dashboard share: settings, forms, the table of actions, pagination.

May import `web.charts` and `web.security`.
"""
