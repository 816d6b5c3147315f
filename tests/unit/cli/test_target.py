"""`URL NAME` is read in one way by every verb."""

import pytest

from mendsearch.cli.target import existing_search, search_named, url_and_name
from mendsearch.errors import UsageError

URL = "postgresql://me:sesame@db.example/searches"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((None, None), (None, None)),
        (("mine", None), (None, "mine")),
        ((URL, None), (URL, None)),
        ((URL, "mine"), (URL, "mine")),
    ],
)
def test_a_single_word_is_a_url_or_a_name(words, expected):
    assert url_and_name("status", *words) == expected


@pytest.mark.parametrize("words", [(None, None), (URL, None)])
def test_a_verb_that_needs_a_name_says_so(words):
    with pytest.raises(UsageError, match="report: got no name of a search"):
        search_named("report", *words)


@pytest.mark.parametrize("words", [("mine", URL), (URL, URL)])
def test_words_in_the_wrong_order_are_refused_without_a_password(words):
    with pytest.raises(UsageError, match="expected `mendsearch stop URL NAME`") as refused:
        search_named("stop", *words)
    assert "sesame" not in str(refused.value)


def test_the_url_comes_from_the_environment_where_none_is_given(monkeypatch):
    monkeypatch.setenv("MENDSEARCH_STORAGE", "postgresql://db.example/searches")
    expected = "postgresql+psycopg2://db.example/searches"
    assert existing_search("stop", "mine", None) == (expected, "mine")
    assert existing_search("stop", URL, "mine")[0].endswith("me:sesame@db.example/searches")


def test_a_verb_that_needs_a_database_makes_none(inside):
    with pytest.raises(UsageError, match="got no storage URL"):
        existing_search("stop", "mine", None)
    assert not list(inside.iterdir())
