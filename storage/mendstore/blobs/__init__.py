"""Content that workers need, by its sha256: a worker joins a search with a URL and a name, without a shared folder.

The promises, and how they are kept:

- *A visible blob is complete.* In the database, its row and chunks are written in one transaction. In a store, the
  complete object is moved into place before its row is written.
- *Damaged content is never used.* Content is hashed again while it is written, and each time it is handed out.
- *Concurrent uploads of the same content and a garbage collection do not disturb each other.* Each decides about a blob
  in a transaction that holds the advisory lock of its digest. The lock needs no session, so it works through PgBouncer.
- *A blob that a search is about to name stays.* Uploading a blob renews its age, even if it existed, and only blobs
  older than the grace period are collected.
- *Several databases can share a store.* Each has its own folder there, and removes nothing outside it.
"""

from mendstore.blobs.cache import default_folder
from mendstore.blobs.collection import Collected, collect, forget
from mendstore.blobs.content import Blobs

__all__ = ["Blobs", "Collected", "collect", "default_folder", "forget"]
