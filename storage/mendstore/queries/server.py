"""The server behind a study database."""

from __future__ import annotations

from mendstore.reading import Row, Snapshot


def server_facts(snapshot: Snapshot) -> Row:
    """Version, role, encoding, size, connections that are open and that may be, and whether it is a standby."""
    return snapshot.one(
        """
        SELECT current_setting('server_version') AS version, current_user::text AS role,
            current_setting('server_encoding') AS encoding,
            pg_size_pretty(pg_database_size(current_database())) AS size,
            (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
            current_setting('max_connections')::integer AS most_connections, pg_is_in_recovery() AS standby
        """
    )
