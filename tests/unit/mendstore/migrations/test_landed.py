"""A landed migration never changes: databases out there were made by it (docs/adr/0008)."""

import hashlib
import re
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from mendstore import migrations
from mendstore.schema import _alembic

VERSIONS = Path(migrations.__file__).parent / "versions"
LANDED = {
    "0001_fleet.py": "6d4b73addb0880e51253e287d5e88e6dc86ca1da4c0a00d6a48333262bf15598",
    "0001_fleet.sql": "4468c1e436ea20f6b8bdd3e49ba71efddc0ba3d00076b5c30646ce3cdb7bdbe1",
    "0001_functions.sql": "714a81ce36fbb675059c9f157b13fd1b63321ac42f84e902623979c1fad077b7",
    "0002_functions.py": "43b1e13910817671504d99f3ebfd9ba6aade95b42e31d262189a0bdb9039d59d",
    "0002_functions.sql": "6a2ce0d135bfe9b173cf7b62ff1d381858594d9d6a6d89e5bc5ae7d080a1dec9",
    "0003_functions.sql": "0b57bc9fe3fa4fddcea628698fcf474376d5be18c824aef0e9fa6cfe44a105ad",
    "0003_ladder.py": "fef360ffd8d82186575f26462e350a52ed1f711f6f5278d8b599621ef490a3ec",
    "0003_ladder.sql": "1e5420565178d6f412367e481fb217273f4e2429401eae6b74126576e858b57f",
    "0004_devices.py": "3f8316029e66e4b354cedbe2c89e9da9c6c3e7e7c127750617607c46e2b5cea0",
    "0004_devices.sql": "e91214b472619df126f3852d19e6f35b49370fb53443d3385b82c5768b15deb1",
    "0004_functions.sql": "f54cf2ccc775b5149e135f3bb82c18867214099205859c3f31c32baa9472d3d8",
}
"""sha256 of every file of a revision; a new revision adds its own."""
FILES = sorted(path.name for path in VERSIONS.iterdir() if path.suffix in (".py", ".sql") and path.stem != "__init__")


@pytest.mark.parametrize("name", LANDED)
def test_a_landed_migration_stays_as_it_is(name):
    found = hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest()
    assert found == LANDED[name], (
        f"{name} has landed and must not change: restore it, and add a new revision beside it; SQL functions are "
        f"replaced there by CREATE OR REPLACE FUNCTION"
    )


def test_every_file_is_frozen():
    assert sorted(LANDED) == FILES, "add the sha256 of a new revision's files to LANDED, and remove none"


def test_revisions_are_one_chain():
    script = ScriptDirectory.from_config(_alembic())
    chain = [revision.revision for revision in script.walk_revisions()][::-1]
    assert chain == sorted(chain)
    assert {name.partition("_")[0] for name in FILES} == set(chain)


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("0001_")])
def test_a_migration_is_plain_ascii(name):
    """So that no encoding of a server or client can get in its way; revision 0001 landed with an ellipsis."""
    assert (VERSIONS / name).read_bytes().isascii()


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".sql") and not name.startswith("0001_")])
def test_functions_are_replaced(name):
    assert not re.search(r"CREATE FUNCTION", (VERSIONS / name).read_text(encoding="ascii"))
