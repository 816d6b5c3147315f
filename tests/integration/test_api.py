"""`mendsearch.mend` with a study in a real Postgres."""

import pytest

import mendsearch
from tests.unit.test_api import CALL, LABELS
from tests.zoo import IMAGES, build


@pytest.mark.filterwarnings("ignore:calibration")  # the network is untrained
def test_a_study_in_postgres_is_taken_up(storage, name):
    call = CALL | {"storage": storage, "name": name}
    mendsearch.mend(build("residual"), calibration=IMAGES, validation=(IMAGES, LABELS), **call)
    again = mendsearch.mend(
        build("residual"), calibration=IMAGES, validation=(IMAGES, LABELS), **call | {"n_trials": 8}
    )
    assert len(again.study.trials) == 8
