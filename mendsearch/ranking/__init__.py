"""Filter rankings: the input statistics that they are made from, one base class, and the criteria."""

from mendsearch.ranking.base import Criterion, FilterRanking, RankingInputs
from mendsearch.ranking.bn_scale import BNScale
from mendsearch.ranking.filters import FPGM, L1, L2
from mendsearch.ranking.gram import Gram
from mendsearch.ranking.random import Random
from mendsearch.ranking.taylor import Taylor

__all__ = ["CRITERIA", "Criterion", "FilterRanking", "RankingInputs"]

CRITERIA: dict[str, Criterion] = {
    criterion.name: criterion for criterion in (Gram(), L1(), L2(), BNScale(), Taylor(), FPGM(), Random())
}
