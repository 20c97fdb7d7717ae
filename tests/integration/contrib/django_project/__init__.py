"""A project of Django for the tests: settings, one application with tasks, the admin."""
