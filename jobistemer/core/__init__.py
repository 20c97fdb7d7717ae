"""The pure core: values in, values out. Nothing here knows Redis, a clock or a thread."""
