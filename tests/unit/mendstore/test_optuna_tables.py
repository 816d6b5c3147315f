"""The versions of stock Optuna's tables, read without Optuna, are those that it migrates through."""

from pathlib import Path

import optuna
from alembic.config import Config
from alembic.script import ScriptDirectory

from mendstore.optuna_tables import optuna_versions


def test_the_versions_are_those_of_its_migrations_the_newest_first():
    config = Config()
    folder = Path(optuna.storages.__file__).parent / "_rdb" / "alembic"
    config.set_main_option("script_location", str(folder))
    scripts = ScriptDirectory.from_config(config)
    assert list(optuna_versions()) == [script.revision for script in scripts.walk_revisions()]
    assert optuna_versions()[0] == scripts.get_current_head()
