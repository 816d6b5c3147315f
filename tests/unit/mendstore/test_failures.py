"""Failures whose server does not run here: what libpq says of them, and the remedy."""

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError

from mendstore.failures import reason_of, remedy_of


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('root certificate file "/home/me/.postgresql/root.crt" does not exist', "sslrootcert=PATH"),
        ("SSL error: certificate verify failed", "sslrootcert=PATH"),
        ('server certificate for "db" does not match host name "127.0.0.1"', "as the certificate names it"),
        ('no pg_hba.conf entry for host "10.0.0.1", user "me", database "db", no encryption', "sslmode=require"),
        ('could not translate host name "db.example" to address: Name or service not known', "see that it runs"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "PgBouncer"),
        ("FATAL:  sorry, too many clients already", "PgBouncer"),
        ("FATAL:  the database system is starting up", "see that it runs"),
        ("something that nobody has heard of", "run the same command again"),
    ],
)
def test_what_a_failed_connection_says_names_the_remedy(said, remedy):
    error = OperationalError("", None, psycopg2.OperationalError(f"{said}\nand more"))
    assert remedy in remedy_of(error, "postgresql://db.example/searches")
    assert reason_of(error) == said.removeprefix("FATAL:  ")
