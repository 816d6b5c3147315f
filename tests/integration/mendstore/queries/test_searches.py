import optuna
import pytest
import sqlalchemy as sa

import mendstore
from bench.fleet.synthetic import results_of, structure_of
from mendstore.queries.best import best_scores
from mendstore.queries.searches import find_search, latest, list_searches, with_results
from mendstore.records import RESULTS, STRUCTURE
from tests.integration.conftest import DONE, TRIALS


def test_searches_are_listed_with_their_counts(reader, made):
    (listed,) = [item for item in reader.read(list_searches) if item.name == made.name]
    assert (listed.wanted, listed.done, listed.alive) == (TRIALS, DONE, 5)
    assert listed.best == made.scores[made.best]
    assert listed.failed == made.states.count("FAIL")


def test_a_search_comes_with_its_records(reader, finished):
    search = reader.read(lambda snapshot: find_search(snapshot, name=finished.name))
    assert search.structure.widths == finished.structure["widths"]
    assert search.result.winner.keep_counts == finished.counts[finished.best]
    assert (search.model, search.sign, search.unreadable) == ("torchvision:resnet18", 1, ())
    assert finished.study_id in reader.read(with_results)


@pytest.mark.parametrize(("direction", "best"), [("maximize", 3.0), ("minimize", 1.0)])
def test_the_best_score_follows_the_direction_and_leaves_infinite_ones_out(reader, storage, name, direction, best):
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    for value in (3.0, 1.0, 2.0, float("inf"), float("-inf")):
        study.tell(study.ask(), value)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    assert reader.read(lambda snapshot: best_scores(snapshot, [study._study_id])) == {study._study_id: best}
    found = mendstore.summaries(storage, name)
    assert [summary.best for summary in found] == [best]
    (listed,) = [item for item in reader.read(list_searches) if item.name == name]
    assert listed.best == best


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        (
            STRUCTURE,
            {"groups": [1, None], "widths": {"a": "<b>"}},
            "structure: groups.0: expected a valid string",
        ),
        (STRUCTURE, {"widths": {"a": 4}, "floor": {"a": 5}}, "`floor` has more channels than the dense network"),
        (RESULTS, ["no"], "results: expected a valid dictionary"),
        (RESULTS, {"format": 3}, "results: format: expected 2"),
    ],
)
def test_a_record_that_cannot_be_read_is_left_out_with_the_reason(reader, storage, name, attribute, value, reason):
    study = optuna.create_study(storage=storage, study_name=name)
    study.set_user_attr(attribute, value)
    other = {STRUCTURE: RESULTS, RESULTS: STRUCTURE}[attribute]
    structure = structure_of(3)
    whole = results_of(structure, structure["uniform"], -0.1, name, 10) if other == RESULTS else structure
    study.set_user_attr(other, whole)
    search = reader.read(lambda snapshot: find_search(snapshot, name=name))
    (said,) = search.unreadable
    assert reason in said
    assert bool(search.structure.widths) == (other == STRUCTURE)
    assert (search.result is not None) == (other == RESULTS)


def test_an_attribute_that_is_not_json_is_left_out(reader, storage, name):
    study = optuna.create_study(storage=storage, study_name=name)
    study.set_user_attr(STRUCTURE, {})
    database = mendstore.Database(storage)
    broken = "UPDATE study_user_attributes SET value_json = :text WHERE study_id = :study"
    for text in ("{", "[" * 20_000):
        values = {"text": text, "study": study._study_id}
        database.run(lambda connection, values=values: connection.execute(sa.text(broken), values))
        search = reader.read(lambda snapshot: find_search(snapshot, name=name))
        assert search.unreadable == ("structure: it is not JSON",)
    database.close()
    optuna.delete_study(study_name=name, storage=storage)  # stock Optuna fails on a database that holds it


def test_a_database_without_tables_holds_nothing(server):
    shared = mendstore.Database(server.start())
    shared.run(lambda connection: connection.execute(sa.text("CREATE DATABASE without_tables")))
    empty = mendstore.Reader(sa.make_url(shared.url).set(database="without_tables").render_as_string())
    assert empty.read(list_searches) == []
    assert empty.read(latest) is None
    assert empty.read(lambda snapshot: find_search(snapshot, name="any")) is None
    empty.close()
    shared.close()


def test_the_search_to_show_is_the_one_with_the_last_heartbeat(reader, storage, made, finished):
    database = mendstore.Database(storage)
    heard = "UPDATE mend_searches SET heard_at = now() + interval '1 hour' WHERE study_id = :study"
    for study in (finished.study_id, made.study_id):
        database.run(lambda connection, study=study: connection.execute(sa.text(heard), {"study": study}))
        assert reader.read(latest) == study
        database.run(
            lambda connection: connection.execute(sa.text("UPDATE mend_searches SET heard_at = now() - interval '1 s'"))
        )
    database.close()
