"""What a network gives, whatever its form: named output leaves, and how far a candidate's are from the dense network's.

`leaves` flattens outputs. Each divergence is a file: `kl`, `bernoulli`, `squared`, `cosine`, `detections`, `given`.
`guessing` says which one fits what the dense network gives, `choosing` heeds the user too, and a `comparison` is all of
them together.
"""

from mendsearch.outputs.choosing import Wishes, comparison_of, outputs_of
from mendsearch.outputs.comparison import LOGITS, Comparison
from mendsearch.outputs.leaves import leaves_of

__all__ = ["LOGITS", "Comparison", "Wishes", "comparison_of", "leaves_of", "outputs_of"]
