"""`mendsearch.mend` on networks of any inputs, and on data in any form."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import mendsearch
from mendsearch import Batch
from tests.cases.inputs import (
    IMAGES,
    ITEMS,
    LABELS,
    MASK,
    NOTES,
    RAGGED,
    TOKENS,
    Items,
    Listed,
    Stream,
    Text,
    Two,
    apart,
    classifier,
    frames,
    sound,
    volumes,
)

pytestmark = pytest.mark.filterwarnings("ignore:calibration")  # the networks are untrained
CALL = {"budget": mendsearch.Budget(macs=0.5), "n_trials": 2, "quiet": True}
FLAT = TensorDataset(IMAGES, NOTES, LABELS)


def mend(make, data, **options):
    """The network in evaluation mode, and what comes out of it."""
    torch.manual_seed(0)
    model = make().eval()
    return model, mendsearch.mend(model, calibration=data, validation=data, **CALL | options)


NETWORKS = {
    "frames": (frames, torch.randn(ITEMS, 1024)),
    "sound": (sound, TensorDataset(torch.randn(ITEMS, 1, 400), LABELS)),
    "volumes": (volumes, torch.randn(ITEMS, 1, 8, 8, 8)),
    "tokens": (Text, TOKENS),
    "tokens and mask": (Text, {"ids": TOKENS, "mask": MASK}),
    "positional": (Two, Batch(IMAGES, NOTES)),
    "keywords": (Two, {"image": IMAGES, "notes": NOTES}),
    "list": (Listed, RAGGED),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_other_inputs_comes_back_smaller(name):
    make, data = NETWORKS[name]
    model, pruned = mend(make, data)
    assert pruned.params < sum(parameter.numel() for parameter in model.parameters())
    assert -1 < pruned.score <= 1e-6
    inputs = data.tensors[0] if isinstance(data, TensorDataset) else data
    with torch.no_grad():
        found, dense = (Batch.of(inputs).call(network) for network in (pruned.model, model))
    divergence = torch.nn.functional.kl_div(found.log_softmax(1), dense.log_softmax(1), log_target=True, reduction="batchmean")  # fmt: skip
    assert -pruned.score == pytest.approx(float(divergence), rel=1e-2, abs=1e-6)


TWO = {
    "pair and labels": ((IMAGES, NOTES), LABELS),
    "batch and labels": (Batch(IMAGES, notes=NOTES), LABELS),
    "data set": Items(lambda index: ((IMAGES[index], NOTES[index]), int(LABELS[index]))),
    "loader": DataLoader(Items(lambda index: ((IMAGES[index], NOTES[index]), int(LABELS[index]))), 16),
    "dicts": DataLoader(Items(lambda index: {"image": IMAGES[index], "notes": NOTES[index]}), 16),
}


@pytest.mark.parametrize("form", TWO)
def test_two_inputs_in_any_form_mean_the_same(form):
    _, expected = mend(Two, Batch(IMAGES, NOTES))
    _, found = mend(Two, TWO[form])
    assert found.score == pytest.approx(expected.score, abs=1e-7)


def test_a_function_takes_batches_apart_that_the_rule_does_not():
    _, expected = mend(Two, (Batch(IMAGES, NOTES), LABELS), score="loss")
    for data in (FLAT, DataLoader(FLAT, 10)):
        _, found = mend(Two, data, batch=apart, score="loss")
        assert found.score == pytest.approx(expected.score, abs=1e-6)
    for data in (FLAT, (IMAGES, NOTES)):  # a pair is inputs and labels
        with pytest.raises(mendsearch.UsageError, match=r"refuses inputs \(3, 12, 12\) float32: TypeError.* 'notes'"):
            mend(Two, data)


IMAGE_DATA = {
    "image and file name": Items(lambda index: (IMAGES[index], f"{index}.png")),
    "loader of them": DataLoader(Items(lambda index: (IMAGES[index], f"{index}.png")), 16),
    "one by one": DataLoader(Items(lambda index: (IMAGES[index], f"{index}.png")), batch_size=None),
    "image and dict": Items(lambda index: (IMAGES[index], {"boxes": torch.zeros(index % 3, 4)})),
    "batches as they are": DataLoader(Stream(), batch_size=None),
    "mask": TensorDataset(IMAGES, torch.zeros(ITEMS, 12, 12)),
    "targets of a regression": (IMAGES, torch.rand(ITEMS, 4)),
}


@pytest.mark.parametrize("form", IMAGE_DATA)
def test_what_is_no_label_is_not_looked_at(form):
    _, expected = mend(classifier, IMAGES)
    _, found = mend(classifier, IMAGE_DATA[form])
    assert found.score == pytest.approx(expected.score, abs=1e-7)


LISTS = {
    "data set": Items(lambda index: (RAGGED[index], {"boxes": torch.zeros(index % 3, 4)})),
    "as detectors are trained": DataLoader(
        Items(lambda index: (RAGGED[index], {"boxes": torch.zeros(1)})), 16, collate_fn=lambda items: tuple(zip(*items, strict=True))
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", LISTS)
def test_images_of_several_sizes_are_a_list(form):
    _, expected = mend(Listed, RAGGED)
    _, found = mend(Listed, LISTS[form])
    assert found.score == pytest.approx(expected.score, abs=1e-7)


def test_images_of_one_size_are_a_list_if_a_function_says_so():
    _, found = mend(Listed, TensorDataset(IMAGES), batch=lambda given: list(given[0]))
    assert -1 < found.score < 1e-6


def test_a_loader_is_read_as_far_as_is_needed():
    stream = Stream()
    loader = DataLoader(stream, batch_size=None)
    mendsearch.mend(
        classifier().eval(), calibration=loader, validation=IMAGES, calibration_items=20, **CALL
    )  # fmt: skip
    assert stream.given == 2
    with pytest.raises(mendsearch.UsageError, match="validation_items: got 0"):
        mend(classifier, IMAGES, validation_items=0)


def test_of_a_data_set_items_are_drawn():
    seen = []
    data = Items(lambda index: seen.append(index) or IMAGES[index % ITEMS], count=10_000)
    mendsearch.mend(classifier().eval(), calibration=data, validation=IMAGES, calibration_items=40, **CALL)
    assert len(set(seen)) == len(seen) == 40
    assert max(seen) > 5000


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("reconstruction", ["sequence", "channels"])
def test_a_network_is_pruned_in_its_own_dtype(dtype, reconstruction):
    _, pruned = mend(lambda: classifier().to(dtype), IMAGES, reconstruction=reconstruction)
    assert {parameter.dtype for parameter in pruned.model.parameters()} == {dtype}
    assert pruned.model(IMAGES.to(dtype)).dtype == dtype
    _, single = mend(classifier, IMAGES, reconstruction=reconstruction)
    assert single.score - 1e-3 < pruned.score <= 1e-6


@pytest.mark.parametrize("criterion", ["l1", "taylor", "fpgm"])
def test_criteria_rank_half_networks(criterion):
    _, pruned = mend(lambda: classifier().half(), IMAGES, criterion=criterion)
    assert -0.1 < pruned.score <= 1e-6


@pytest.mark.parametrize("make", [classifier, lambda: classifier().float()])
def test_another_default_dtype_does_no_harm(make):
    torch.set_default_dtype(torch.float64)
    try:
        model, pruned = mend(make, IMAGES)
    finally:
        torch.set_default_dtype(torch.float32)
    assert next(pruned.model.parameters()).dtype == next(model.parameters()).dtype


def test_bytes_are_floats_and_token_ids_stay_integers():
    pixels = (40 * IMAGES + 128).clamp(0, 255)
    _, expected = mend(classifier, pixels.round())
    _, found = mend(classifier, TensorDataset(pixels.round().byte(), LABELS))
    assert found.score == pytest.approx(expected.score, abs=1e-7)
    with pytest.raises(mendsearch.UsageError, match="refuses inputs"):
        mend(Text, TOKENS.float())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((IMAGES, LABELS[:9]), r"got 64 items and labels of shape \(9,\)"),
        (DataLoader(TensorDataset(IMAGES[:0])), "it holds no items"),
        (Items(lambda index: object()), "got object among inputs"),
        ({"image": IMAGES, "notes": NOTES[:9]}, "inputs differ in their number of items: got 64 and 9"),
    ],
)
def test_data_that_cannot_be_read_are_refused_by_the_name_of_the_argument(data, message):
    with pytest.raises(mendsearch.UsageError, match=f"validation: {message}"):
        mendsearch.mend(classifier().eval(), calibration=IMAGES, validation=data, **CALL)
