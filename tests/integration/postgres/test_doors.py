"""A server that asks for a password, over TCP without TLS: what is wrong is named, with what to do."""

import sqlalchemy as sa

import mendstore
from tests.integration.mendstore.test_failures import refused


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
