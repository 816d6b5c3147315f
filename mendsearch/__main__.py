"""`python -m mendsearch` is the command `mendsearch`."""

from mendsearch.cli import app

app()
