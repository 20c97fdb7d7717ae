"""The names of the built-in tasks, for those who enqueue them without the code that does them."""

SHELL_TASK = "shell"
HTTP_TASK = "http"
