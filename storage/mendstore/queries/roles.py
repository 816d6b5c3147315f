"""Roles that may do what the one that reads may not."""

from __future__ import annotations

from mendstore.reading import Snapshot
from mendstore.urls import with_role, without_password


def workers_url(snapshot: Snapshot) -> str:
    """The URL, without a password, for a role that may run, stop and resume searches.

    It is the role that reads, if it may; else one made for it, or the owner of the tables.
    """
    row = snapshot.first(
        """
        SELECT r.rolname::text AS role FROM pg_roles r
        WHERE r.rolname = current_user OR (r.rolcanlogin AND NOT r.rolsuper)
            AND has_table_privilege(r.rolname, 'mend_searches', 'UPDATE')
        ORDER BY has_table_privilege(r.rolname, 'mend_searches', 'UPDATE') DESC, r.rolname = current_user DESC,
            pg_has_role(r.rolname, (SELECT relowner FROM pg_class WHERE oid = 'mend_searches'::regclass), 'USAGE'),
            r.rolname
        LIMIT 1
        """
    )
    return without_password(snapshot.url) if row is None else with_role(snapshot.url, row["role"])
