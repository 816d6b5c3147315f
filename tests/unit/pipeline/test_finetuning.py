"""What is said of finalists after their fine-tuning."""

from mendsearch.pipeline.finetuning import ruined
from tests.unit.pipeline.test_timing import TUNED, finalist


def test_fine_tuning_that_makes_every_finalist_worse_is_told_of():
    worse = {name: finalist(0.4) for name in TUNED}
    assert ruined(worse, "mended") == (
        "fine-tuning made every finalist worse on validation, the best one from 0.5000 to 0.4000: try a lower "
        "finetune.learning_rate, or more passes"
    )
    assert ruined(worse | {"uniform": finalist(0.6)}, "uniform") is None
