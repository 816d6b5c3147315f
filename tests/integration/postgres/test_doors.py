"""A server that asks for a password, over TCP without TLS: what is wrong is named, with what to do."""

import sqlalchemy as sa

import mendstore
from mendstore.queries.searches import find_search
from mendview.overview import overview
from tests.integration.mendstore.test_failures import refused
from tests.integration.postgres.searches import register


def test_password_and_tls(fleet):
    url = sa.make_url(fleet.url("mend_owner"))
    for wrong in (url.set(password="wrong@1"), sa.make_url(fleet.url("mend_owner", password=False))):
        said = refused(lambda wrong=wrong: mendstore.upgrade(wrong.render_as_string(hide_password=False)))
        assert "password" in said
        assert "~/.pgpass" in said
        assert "wrong" not in said
        assert "see that it runs" not in said
    tls = url.update_query_dict({"sslmode": "require"}).render_as_string(hide_password=False)
    assert "leave sslmode out" in refused(lambda: mendstore.upgrade(tls))


def test_a_viewer_is_shown_the_command_of_a_role_that_may_run_it(fleet, name):
    database = mendstore.Database(fleet.url("mend_owner"))
    register(database, name, 3)
    database.close()
    for role, shown in (("mend_viewer", "mend_worker"), ("mend_worker", "mend_worker"), ("mend_owner", "mend_owner")):
        reader = mendstore.Reader(fleet.url(role))
        seen = reader.read(lambda snapshot: overview(snapshot, find_search(snapshot, name=name)))
        reader.close()
        assert seen.todo == f"mendsearch launch {shown_of(fleet, shown)} {name} --workers 2"


def shown_of(fleet, role):
    return mendstore.without_password(mendstore.normalised(fleet.url(role)))
