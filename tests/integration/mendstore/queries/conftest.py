"""Questions about one made-up search."""

import pytest

from mendstore.queries.searches import find_search


@pytest.fixture
def ask(reader, made):
    def ask(question, *arguments):
        return reader.read(
            lambda snapshot: question(snapshot, find_search(snapshot, study_id=made.study_id), *arguments)
        )

    return ask
