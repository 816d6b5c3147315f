"""Content that workers need, by its sha256: how a worker joins a search with a URL and a name, and no shared folder.

What is promised, and how it is kept:

- *A blob that can be seen is whole.* In the database its row and chunks are one transaction. Outside, its object is
  moved into place whole, and its row is written after it.
- *Nothing damaged is used.* Content is hashed again while it is written, and whenever it is given out.
- *Two that put the same content at once, and a collection beside them, do no harm.* Each decides about a blob in a
  transaction that holds the advisory lock of its digest. The lock needs no session, and so goes through PgBouncer.
- *A blob that is about to be named stays.* Putting a blob makes it young, whether it was there or not, and only what
  is older than the time of grace is collected.
- *Several databases may share a store.* Each has a folder of its own in it, and removes nothing outside that.
"""

from mendstore.blobs.cache import default_folder
from mendstore.blobs.collection import Collected, collect
from mendstore.blobs.content import Blobs

__all__ = ["Blobs", "Collected", "collect", "default_folder"]
