"""Images with a class for each pixel."""

from torch.utils.data import TensorDataset

from examples.drawn import CLASSES, draw
from mendsearch import DataSource


def make_data(train: int = 800, test: int = 400) -> DataSource:
    """The data set that the spec names: images (1, 64, 64), and masks (64, 64) int64 with 0 for ground."""
    parts = [draw(count, seed) for seed, count in enumerate((train, test))]
    return DataSource(*(TensorDataset(part.images, part.masks) for part in parts), num_classes=1 + len(CLASSES))
