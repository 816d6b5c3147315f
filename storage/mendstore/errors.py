"""Errors of the study database."""


class StorageError(Exception):
    """The study database cannot be reached or used; start it, or correct the URL, and run the same command again."""

    exit_code = 3


class SearchNameError(StorageError):
    """There is no search of that name in the database, or it is a different one; check the name, or choose another."""

    exit_code = 2


class UrlError(StorageError):
    """The URL is not one of a Postgres database; correct it."""

    exit_code = 2
