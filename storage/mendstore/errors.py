"""What goes wrong with a study database."""


class StorageError(Exception):
    """The study database cannot be reached or used; start it, or correct the URL, and run the same command again."""

    exit_code = 3
