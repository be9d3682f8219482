"""Weights from a user's file: wrappers are removed, mistakes named, nothing is unpickled."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from amc_gym.zoo import checkpoints, models
from amc_gym.zoo.models.mobilenet import PUBLISHED, MobileNetV1, from_published
from amc_gym.zoo.resolving import resolve


@pytest.fixture
def plain() -> nn.Module:
    return models.build("Plain20", "digits").eval()


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".tar"])
@pytest.mark.parametrize("parallel", [False, True])
def test_wrappers_are_removed(plain, tmp_path: Path, wrapper, suffix, parallel) -> None:
    state = {("module." if parallel else "") + k: v for k, v in plain.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 7}, path)
    task = resolve("Plain20", weights=path)
    assert equal(task.model, plain)
    assert not task.model.training


def test_safetensors_do_as_well(plain, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(plain.state_dict(), path)
    assert equal(resolve("Plain20", weights=str(path)).model, plain)


def test_truncated_and_missing_files_are_told(plain, tmp_path: Path) -> None:
    for suffix, zipped in ((".pt", True), (".th", False), (".safetensors", None)):
        path = tmp_path / f"weights{suffix}"
        if zipped is None:
            save_file(plain.state_dict(), path)
        else:
            torch.save(plain.state_dict(), path, _use_new_zipfile_serialization=zipped)
        content = path.read_bytes()
        for length in (len(content) // 2, 10, 0):
            path.write_bytes(content[:length])
            with pytest.raises(OSError, match=r"damaged.*(copy|use)"):
                checkpoints.read(path)
        path.unlink()
        with pytest.raises(OSError, match="cannot read the weights"):
            checkpoints.read(path)


class Boom:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def test_objects_are_not_unpickled(plain, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": plain.state_dict(), "boom": Boom()}, "weights.pt")
    with pytest.raises(OSError, match="more than tensors, which is not unpickled"):
        checkpoints.read(Path("weights.pt"))
    assert not Path("unpickled").exists()


@pytest.mark.parametrize("content", [{}, {"accuracy": 0.9}, torch.zeros(3), [1, 2]])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="holds no state_dict"):
        checkpoints.read(tmp_path / "weights.pt")


def test_another_number_of_classes_is_named(tmp_path: Path) -> None:
    torch.save(models.build("Plain20", "digits", classes=100).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"is for 100 classes.*the data set has 10"):
        resolve("Plain20", weights=tmp_path / "w.pt")


def test_another_networks_weights_are_named_by_what_differs(plain, tmp_path: Path) -> None:
    state = plain.state_dict()
    state["layer9.weight"] = state.pop("conv1.weight")
    state["bn1.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(
        ValueError,
        match=r"another network \(of another shape: bn1.bias; missing: conv1.weight; "
        r"unexpected: layer9.weight\)",
    ):
        resolve("Plain20", weights=tmp_path / "w.pt")
    torch.save(models.build("ResNet56", "digits").state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"another network.* and \d+ more"):
        resolve("Plain20", weights=tmp_path / "w.pt")


def test_weights_are_judged_before_images_are_decoded(tmp_path: Path, monkeypatch) -> None:
    """Load weights in a folder without images, where reading images would raise another error."""
    other = models.build("Plain20", "cifar10").state_dict() | {"more.weight": torch.zeros(1)}
    torch.save(other, tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    for weights, error, message in (
        ("missing.pt", OSError, r"cannot read the weights .*/missing\.pt"),
        ("w.pt", ValueError, r"another network \(unexpected: more\.weight\)"),
    ):
        with pytest.raises(error, match=message):
            resolve("Plain20", dataset="folder?size=16", data_root=tmp_path, weights=weights)


def test_a_plan_names_weights_by_a_path_that_holds_in_every_folder(
    plain, tmp_path: Path, monkeypatch
) -> None:
    torch.save(plain.state_dict(), tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    task = resolve("Plain20", weights="w.pt")
    monkeypatch.chdir("/")
    assert resolve("Plain20", weights=dict(task.source)["weights"] or "") is task


def test_checkpoints_without_a_channel_map_or_batch_counters_load(tmp_path: Path) -> None:
    network = models.build("ResNet56", "digits")
    state = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith(("source", "num_batches_tracked"))
    }
    torch.save({"state_dict": state}, tmp_path / "w.th")
    assert equal(resolve("ResNet56", weights=tmp_path / "w.th").model, network)


def test_the_published_names_of_mobilenet_are_translated() -> None:
    """Load the layout of the authors' ImageNet checkpoint: 1 + 13 x 2 convolutions with norms."""

    def convolution(name: str, norm: str) -> list[str]:
        norms = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{name}.weight", *(f"{norm}.{key}" for key in norms)]

    theirs = convolution("conv1.0", "conv1.1")
    for i in range(13):
        theirs += convolution(f"features.{i}.0", f"features.{i}.1")
        theirs += convolution(f"features.{i}.3", f"features.{i}.4")
    theirs += ["classifier.0.weight", "classifier.0.bias"]
    ours = MobileNetV1(10, width=0.1).state_dict()
    state = dict(zip(theirs, ours.values(), strict=True))
    assert list(from_published(state)) == list(ours)
    assert from_published(ours) == dict(ours)
    assert len(PUBLISHED) == 7


def test_torchvisions_weights_are_for_imagenet(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(
        ValueError, match=r"no weights of Plain20.*those of MobileNetV2, ResNet50, VGG16"
    ):
        resolve("Plain20", weights="torchvision")
    with pytest.raises(ValueError, match=r"for digits.*for dataset='imagenet'"):
        resolve("ResNet50", weights="torchvision")


def test_torchvisions_weights_are_fetched_or_the_way_out_is_named(monkeypatch) -> None:
    from torchvision.models import MobileNet_V2_Weights

    from amc_gym.zoo.pretrained import pretrained

    network = models.build("MobileNetV2", "imagenet").eval()
    fetched = []

    def fetch(self, **options):
        fetched.append((self.name, options["check_hash"]))
        return network.state_dict()

    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", fetch)
    assert equal(pretrained("MobileNetV2", "imagenet", "torchvision", lambda: 1000), network)
    assert fetched == [("IMAGENET1K_V1", True)]

    def fail(self, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", fail)
    with pytest.raises(OSError, match=r"cannot fetch https://.*no route.*pass its path"):
        pretrained("MobileNetV2", "imagenet", "torchvision", lambda: 1000)


def test_damaged_files_are_refused_whatever_the_damage(plain, tmp_path: Path) -> None:
    rng = random.Random(0)
    wholes = []
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(plain.state_dict(), buffer, _use_new_zipfile_serialization=new)
        wholes.append(buffer.getvalue())
    path, refused = tmp_path / "weights.pt", 0
    for _ in range(300):
        content = bytearray(rng.choice(wholes))
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(rng.choice((300, len(content))))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice((None, rng.randrange(len(content))))])
        try:
            checkpoints.read(path)
        except (OSError, ValueError) as error:
            refused += 1
            assert str(error).isprintable()  # noqa: PT017
    assert refused > 100
