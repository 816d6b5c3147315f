"""What is said of finalists after their fine-tuning."""

from mendsearch.pipeline.finetuning import made_worse
from tests.unit.pipeline.test_timing import TUNED, finalist


def test_fine_tuning_that_makes_finalists_worse_is_told_of():
    worse = {name: finalist(0.4) for name in TUNED}
    assert made_worse(TUNED, "mended") is None
    assert made_worse(TUNED | {"pre_pruned": finalist(0.4)}, "mended") == (
        "fine-tuning made networks worse on validation, which are kept as they were before it: pre-pruned from 0.5 "
        "to 0.4. Try a lower finetune.learning_rate, or more passes"
    )
    twice = worse | {"curves": finalist(0.4, counts=worse["pre_pruned"].counts)}
    assert made_worse(twice, "mended") == made_worse(worse, "mended")
    assert "pre-pruned from 0.5 to 0.4, mended from" in made_worse(worse, "mended")
