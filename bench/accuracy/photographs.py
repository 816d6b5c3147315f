"""Natural photographs that packages ship, as crops: 319 photographs, looked at one by one.

Debian's `gcompris-qt-data` (animals, fish, tools, buildings: most of them), `mate-backgrounds`, the two
`lomiri-wallpapers`, `plasma-workspace-wallpapers` and `opencv-doc`; and the samples of scikit-learn and scikit-image.
Drawings, paintings, renderings, patterns and screenshots of the same packages are left out. Nothing is kept here:
`fetch` has apt and pip bring the packages, and unpacks them without installing any.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

DEBIAN = (
    "gcompris-qt-data", "mate-backgrounds", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04",
    "plasma-workspace-wallpapers", "opencv-doc",
)  # fmt: skip
WHEELS = ("scikit-image==0.26.0", "scikit-learn")
GCOMPRIS = (
    "categorization", "clickgame", "details", "erase", "explore_farm_animals", "explore_monuments",
    "explore_world_animals", "explore_world_music",
)  # fmt: skip
"""Activities of GCompris whose pictures are photographs."""
PAINTINGS = frozenset({"details-2", "details-4", "details-7", "details-8", "details-10", "details-12", "details-15",
                       "details-19"})  # fmt: skip
FILES = {
    "mate-backgrounds": "Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm TwoWings "
    "YellowFlower",
    "lomiri-wallpapers-16.04": "Bridge_by Dragonfly Picture_0B Picture_1A Wine aitzgorri free_by friends greentock "
    "life_by picosdeeuropa seeding sunset",
    "lomiri-wallpapers-20.04": "Kleiber",
    "plasma-workspace-wallpapers": "BytheWater/ ColorfulCups/ EveningGlow/ FallenLeaf/ Kite/ OneStandsOut/ Path/ "
    "summer_1am/",
    "opencv-doc": "/plant.jpg /aloeL.jpg /apple.jpg /baboon.jpg /data/board.jpg /building.jpg /butterfly.jpg "
    "/chicky_512 /ela_original /fruits.jpg /home.jpg /left.jpg /leuvenA /licenseplate_mot /messi5 /orange.jpg "
    "/rubberwhale1 /squirrel_cls /butterfly.png /000.jpg /001.jpg /002.jpg /home.png /scenetext0 /227943776_1 "
    "/230501201_1 /bicubicOutput",
    "scikit-image": "astronaut.png chelsea.png coffee.png motorcycle_left rocket.jpg",
    "scikit-learn": "china.jpg flower.jpg",
}
"""By package, parts of the paths of the photographs."""
LEAST = 200
"""Pixels of the shorter side of a photograph at the least."""
ALIKE = 0.9
"""Correlation of two thumbnails from which they are of one photograph."""


def fetch(work: Path) -> None:
    """Bring the packages into `work`, once."""
    for name in DEBIAN:
        folder = work / name
        if not folder.is_dir():
            work.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", name], cwd=work, check=True)
            subprocess.run(["dpkg", "-x", str(next(work.glob(f"{name}_*.deb")).resolve()), str(folder)], check=True)
    for wheel in WHEELS:
        folder = work / wheel.partition("==")[0]
        if not folder.is_dir():
            install(wheel, folder)


def install(wheel: str, folder: Path) -> None:
    """A wheel alone, unpacked into a folder of its own."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), wheel], check=True
    )


def photographs(work: Path) -> dict[str, Image.Image]:
    """By name, every photograph once; the same order each time."""
    found: dict[str, Image.Image] = {}
    thumbnails: list[np.ndarray] = []
    for name, image in _all(work):
        if min(image.size) < LEAST:
            continue
        thumbnail = np.asarray(image.convert("L").resize((16, 16)), dtype=np.float64).ravel()
        thumbnail = (thumbnail - thumbnail.mean()) / max(1e-9, float(np.linalg.norm(thumbnail - thumbnail.mean())))
        if all(float(thumbnail @ other) < ALIKE for other in thumbnails):
            thumbnails.append(thumbnail)
            image.thumbnail((512, 512), Image.Resampling.LANCZOS)
            found[name] = image
    return found


def _all(work: Path) -> Iterator[tuple[str, Image.Image]]:
    for activity in GCOMPRIS:
        path = next((work / "gcompris-qt-data").rglob(f"{activity}.rcc"))
        for number, image in enumerate(_embedded(path.read_bytes())):
            if f"{activity}-{number}" not in PAINTINGS:
                yield f"gcompris-qt-data/{activity}-{number}", image
    for package, parts in FILES.items():
        for path in sorted((work / package).rglob("*")):
            name = str(path)
            if path.suffix in (".jpg", ".png") and "screenshot" not in name and any(p in name for p in parts.split()):
                yield f"{package}/{path.parent.name}-{path.name}", Image.open(path).convert("RGB")


def _embedded(content: bytes) -> Iterator[Image.Image]:
    """The WebP pictures in a Qt resource file, in its order; those of less than `LEAST` pixels are left out."""
    place = 0
    while (place := content.find(b"RIFF", place)) >= 0:
        size = int.from_bytes(content[place + 4 : place + 8], "little") + 8
        if content[place + 8 : place + 12] == b"WEBP":
            image = Image.open(io.BytesIO(content[place : place + size]))
            if min(image.size) >= LEAST:
                yield image.convert("RGB")
        place += 4


@dataclass(frozen=True, eq=False)
class Crops:
    """Crops of photographs.

    Attributes:
        images: (N, 3, S, S) float32, as the network wants them.
        groups: (N,) int64, the photograph of each.
    """

    images: Tensor
    groups: Tensor


def crops(
    pictures: list[Image.Image], count: int, size: int, mean: tuple[float, ...], std: tuple[float, ...], seed: int
) -> Crops:
    """Random crops of half the area or more, half of them mirrored, in turns over the photographs.

    Args:
        pictures: photographs.
        count: crops wanted.
        size: pixels of their sides.
        mean: of the channels, taken out of pixels of 0-1.
        std: of the channels, divided by.
        seed: of the crops.
    """
    generator = np.random.default_rng(seed)
    images, groups = [], []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        width, height = picture.size
        side = int(min(width, height) * np.sqrt(generator.uniform(0.5, 1)))
        left, top = generator.integers(0, width - side + 1), generator.integers(0, height - side + 1)
        part = picture.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        pixels = np.asarray(part, dtype=np.float32) / 255
        images.append(pixels[:, ::-1].copy() if generator.random() < 0.5 else pixels)
        groups.append(number % len(pictures))
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    shift, scale = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
    return Crops(((stacked - shift) / scale).contiguous(), torch.tensor(groups))
