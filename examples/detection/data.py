"""Images with boxes."""

from torch.utils.data import TensorDataset

from examples.drawn import draw
from mendsearch import DataSource


def make_data(train: int = 1500, test: int = 500) -> DataSource:
    """The data set that the spec names: images (1, 64, 64), and boxes (3, 5) as `examples.drawn.Drawing` has them."""
    parts = [draw(count, seed) for seed, count in enumerate((train, test))]
    return DataSource(*(TensorDataset(part.images, part.boxes) for part in parts), num_classes=None)
