"""Filter rankings: one criterion a file, one base."""

from mendsearch.ranking.base import Criterion, FilterRanking, RankingInputs
from mendsearch.ranking.gram import Gram
from mendsearch.ranking.l1 import L1
from mendsearch.ranking.random import Random

__all__ = ["CRITERIA", "Criterion", "FilterRanking", "RankingInputs"]

CRITERIA: dict[str, Criterion] = {criterion.name: criterion for criterion in (Gram(), L1(), Random())}
