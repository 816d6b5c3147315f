"""What goes wrong with a study database."""


class StorageError(Exception):
    """The study database cannot be reached or used; start it, or correct the URL, and run the same command again."""

    exit_code = 3


class SearchNameError(StorageError):
    """There is no search of that name in the database, or it is another one; look at the name, or choose another."""

    exit_code = 2


class UrlError(StorageError):
    """What was given is no URL of a Postgres database; correct it."""

    exit_code = 2
