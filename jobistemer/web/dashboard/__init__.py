"""What the pages of one dashboard share: its settings, forms, actions and pagination.

May import `web.charts` and `web.security`.
"""
