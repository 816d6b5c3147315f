"""Small networks of ours, one kind of trouble each, beside those of `networks.py`. MORE: name -> (factory, item's shape)."""

from tests.cases.attention_networks import ATTENTION
from tests.cases.move_networks import MOVES
from tests.cases.shared_networks import SHARED
from tests.cases.size_networks import SIZES
from tests.cases.weight_networks import WEIGHTS

MORE = SHARED | MOVES | ATTENTION | WEIGHTS | SIZES
