"""Law: more calibration images never make a candidate worse on held-out images, beyond noise."""

import numpy as np
import pytest
import torch

from mendsearch.config import MendSpec, PruneSpec
from mendsearch.mending.search import Search
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.statistics import input_statistics
from tests.unit.mending.test_scoring import digits_problem

IMAGES = (8, 16, 32, 64, 128, 256, 500)


def losses(images, kind, counts):
    """(structures, n) divergences of the held-out images, refined with those images; the ranking stays the same."""
    problem, _, splits = digits_problem(0.4)
    statistics = input_statistics(problem.model, problem.coupling, images, 32)
    ranking = CRITERIA["l1"].rank(RankingInputs(problem.model, problem.coupling, statistics, images, 0))
    search = Search(
        problem, ranking, statistics, calibration=images, validation=splits.validation[0], labels=None,
        prune=PruneSpec(), mend=MendSpec(reconstruction=kind),
    )  # fmt: skip
    scorer = search.scorer
    with torch.no_grad():
        return torch.stack([scorer._evaluate(scorer.weights.refined(found), 10**9).losses for found in counts])


@pytest.mark.parametrize("kind", ["sequence", "channels"])
def test_more_images_never_make_it_worse(kind):
    """In the mean over four draws of the images, which take turns, and three structures."""
    problem, _, splits = digits_problem(0.4)
    counts = [np.rint(kept * problem.coupling.widths).astype(np.int64) for kept in (0.5, 0.65, 0.8)]
    draws = [torch.randperm(500, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    curve = np.array(
        [
            np.mean([float(losses(splits.calibration[draw[:count]], kind, counts).mean()) for draw in draws])
            for count in IMAGES
        ]
    )
    assert (curve[1:] <= 1.01 * curve[:-1]).all()
    assert curve[-1] < 0.7 * curve[0]


def test_the_order_of_the_images_does_not_matter():
    """Sorted by class or shuffled: the same images give nearly the same network."""
    problem, _, splits = digits_problem(0.4)
    with torch.no_grad():
        by_class = splits.calibration[problem.model(splits.calibration.tensor).argmax(1).argsort(stable=True)]
    counts = [np.rint(kept * problem.coupling.widths).astype(np.int64) for kept in (0.5, 0.65, 0.8)]
    shuffled, in_order = (float(losses(images, "sequence", counts).mean()) for images in (splits.calibration, by_class))
    assert in_order == pytest.approx(shuffled, rel=0.15)
