"""Settings of the project; the database is named by DJANGO_TEST_DATABASE, SQLite by default."""

import os
from pathlib import Path

import django

SECRET_KEY = "for tests"
DEBUG = True
USE_TZ = True
ALLOWED_HOSTS = ["testserver", "localhost"]
ROOT_URLCONF = "tests.integration.contrib.django_project.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    *(["django_tasks"] if django.VERSION < (6,) else []),
    "jobistemer.contrib.django",
    "tests.integration.contrib.django_project",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
FOLDER = Path(os.environ.get("DJANGO_TEST_FOLDER", "."))
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}}
if port := os.environ.get("DJANGO_TEST_POSTGRES"):
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "PORT": port,
    }
TASKS = {"default": {"BACKEND": "jobistemer.contrib.django.backend.JobistemerBackend", "QUEUES": ["default", "mail"]}}
JOBISTEMER = {
    "URL": os.environ.get("DJANGO_TEST_SERVER", "fake://django"),
    "NAMESPACE": "django",
    "DEFAULTS": {"retention_s": 3600},
}
STATIC_URL = "static/"
