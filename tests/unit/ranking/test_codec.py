"""Ranking and statistics come back from a file as they were."""

import numpy as np
import torch

from mendsearch.coupling.graph import find_coupling
from mendsearch.files import read_tensors, write_tensors
from mendsearch.ranking import CRITERIA, RankingInputs
from mendsearch.ranking.codec import from_tensors, to_tensors
from mendsearch.ranking.statistics import input_statistics
from tests.zoo import IMAGES, build


def test_they_go_to_a_file_and_come_back(tmp_path):
    model = build("residual")
    coupling = find_coupling(model, IMAGES)
    statistics = input_statistics(model, coupling, IMAGES, 32)
    ranking = CRITERIA["gram"].rank(RankingInputs(model, coupling, statistics, IMAGES, 0))
    write_tensors(tmp_path / "ranking.safetensors", to_tensors(ranking, statistics))
    tensors = read_tensors(tmp_path / "ranking.safetensors")
    found, found_statistics = from_tensors(tensors, "gram", torch.device("cpu"))
    assert found.criterion == "gram"
    assert len(found.scores) == len(coupling.groups)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found.scores, ranking.scores, strict=True))
    assert found_statistics.keys() == statistics.keys()
    for layer, expected in statistics.items():
        assert torch.equal(found_statistics[layer].mean, expected.mean)
        assert torch.equal(found_statistics[layer].covariance, expected.covariance)
