"""The spec of a run, a table a module.

`python docs/make_spec.py` writes `docs/spec.md` from these models; a test checks that the page is up to date.
"""

from mendsearch.config.base import NAME as NAME
from mendsearch.config.base import SpecPart as SpecPart
from mendsearch.config.base import describe as describe
from mendsearch.config.budget import CORRECTIONS as CORRECTIONS
from mendsearch.config.budget import LATENCY as LATENCY
from mendsearch.config.budget import SUFFIX as SUFFIX
from mendsearch.config.budget import Budget as Budget
from mendsearch.config.budget import is_latency as is_latency
from mendsearch.config.fleet import FleetSpec as FleetSpec
from mendsearch.config.inputs import DataSpec as DataSpec
from mendsearch.config.inputs import ModelSpec as ModelSpec
from mendsearch.config.mending import MOST_TRIALS as MOST_TRIALS
from mendsearch.config.mending import DivergenceName as DivergenceName
from mendsearch.config.mending import MendSpec as MendSpec
from mendsearch.config.mending import OutputSpec as OutputSpec
from mendsearch.config.mending import ReconstructionName as ReconstructionName
from mendsearch.config.mending import SamplerName as SamplerName
from mendsearch.config.mending import ScoreSpec as ScoreSpec
from mendsearch.config.pruning import CriterionName as CriterionName
from mendsearch.config.pruning import PruneSpec as PruneSpec
from mendsearch.config.pruning import RankSpec as RankSpec
from mendsearch.config.pruning import RuleName as RuleName
from mendsearch.config.reading import load_spec as load_spec
from mendsearch.config.reading import overridden as overridden
from mendsearch.config.reading import parse_spec as parse_spec
from mendsearch.config.reading import read_table as read_table
from mendsearch.config.spec import Spec as Spec
from mendsearch.config.training import FinetuneSpec as FinetuneSpec
from mendsearch.config.training import TrainSpec as TrainSpec
