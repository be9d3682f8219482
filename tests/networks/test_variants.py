"""Variants of the common networks: layers are pruned where it is right, and listed otherwise."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from networks.trial import check, close, logits, searched, task_of, with_statistics
from networks.variants import VARIANTS, Attention
from safetensors.torch import load_file

import amc_gym
from amc_gym.compression.handover.rebuild import RebuildError, describe, rebuild
from amc_gym.compression.handover.tied import distinct
from amc_gym.engine.cache import engines

PRUNED: dict[str, tuple[list[str], set[str]]] = {
    "groups1d": (["g", "b", "h"], set()),
    "conv3d": (["b", "h"], set()),
    "transposed_depthwise": (["b.0", "h"], set()),
    "transposed_norm": (["u", "b.0", "h"], set()),
    "grouped_transposed": (["h"], {"a.0", "u"}),
    "mha": (["m.out_proj", "f1", "f2"], set()),
    "encoder_layer": (["e.self_attn.out_proj", "e.linear1", "e.linear2"], set()),
    "decoder_layer": (["d.multihead_attn.out_proj", "d.linear1", "d.linear2"], set()),
    "attention_with_bias_tokens": (["f1", "h"], {"a", "m.in_proj_weight"}),
    "separate_heads_fused": (["q", "o"], set()),
    "separate_heads_in_steps": (["q", "o"], set()),
    "wider_values": (["q", "o"], {"q", "k"}),
    "pooled_by_attention": (
        ["b", "m.out_proj", "h"],
        {"b", "m.in_proj_bias, m.in_proj_weight, probe"},
    ),
    "sdpa": (["f2"], {"a", "f2", "p", "qkv"}),
    "spatial_attention": (["q", "h"], {"k", "q"}),
    "spatial_attention_of_one_width": (["theta", "z"], set()),
    "channel_attention": (["h"], {"a.0"}),
    "self_gate": (["b.0", "h"], set()),
    "cbam": (["h"], {"a.0"}),
    "instance_norm": (["b", "head"], set()),
    "instance_norm_plain": (["b", "head"], set()),
    "group_norm_each": (["b", "head"], set()),
    "lrn": (["b"], {"b"}),
    "glu": (["b.0", "h"], set()),
    "lstm": (["h"], {"a.0"}),
    "gru_hidden": (["b.0", "h"], {"b.0"}),
    "einsum": (["b.0", "h"], {"a.0"}),
    "functional_linear": (["f", "h"], {"a.0"}),
    "weight_standardised": (["head"], {"a"}),
    "scaled_weight": (["b", "head"], set()),
    "pre_hook": (["b", "head"], set()),
    "norm_hook": (["b", "head"], set()),
    "cosine_head": (["b.0", "h"], set()),
    "twice_cat": (["b.0", "h"], set()),
    "crelu": (["b.0", "h"], set()),
    "strided_channels": (["b.0", "h"], set()),
    "maxout": (["h"], {"a"}),
    "maxout_outer": (["b.0", "h"], set()),
    "option_a": (["b", "h"], {"b"}),
    "mixer": (["t2", "c2"], {"a", "c2", "t2"}),
    "convnext": (["f1", "f2"], set()),
    "fused_attention": (["qkv", "proj", "fc2"], set()),
    "attention_in_steps": (["qkv", "proj", "fc2"], set()),
    "layer_norms_of_tutorials": (["qkv", "proj", "fc2"], set()),
    "layer_norms_by_shape": (["qkv", "proj", "fc2"], set()),
    "norms_without_weights": (["qkv", "proj", "fc2"], set()),
    "layer_norms_of_maps": (["f1", "f2"], set()),
    "layer_norms_of_maps_by_variance": (["f1", "f2"], set()),
    "layer_norm_by_function": (["qkv", "proj", "fc2"], set()),
    "layer_norms_in_float32": (["qkv", "proj", "fc2"], set()),
    "layer_norms_that_convert_inputs": (["qkv", "proj", "fc2"], set()),
    "rms_norms_of_torch": (["qkv", "proj", "fc2"], set()),
    "rms_norms_in_steps": (["qkv", "proj", "fc2"], set()),
    "rms_norms_around_one": (["qkv", "proj", "fc2"], set()),
    "rms_norms_of_shape": (["qkv", "proj", "fc2"], set()),
    "norms_by_length": (["qkv", "proj", "fc2"], set()),
    "like_rms_norms": (["fc2"], {"a", "fc2", "proj", "qkv"}),
    "stream_wide_heads": (["fc2"], {"a", "fc2", "proj", "qkv"}),
    "biased_attention": (["qkv", "proj", "fc2"], set()),
    "normalised_keys": (["qkv", "proj", "fc2"], set()),
    "rotary": (["qkv", "proj", "fc2"], set()),
    "linear_attention": (["qkv", "proj", "fc2"], set()),
    "windows": (["c", "f", "h"], set()),
    "unfold": (["h"], {"a.0"}),
    "buffer_scale": (["b.0", "h"], set()),
    "plain_tensor_scale": (["h"], {"a.0"}),
    "inplace_slice": (["h"], {"a.0"}),
    "custom_function": (["b.0", "h"], set()),
    "numpy_inside": (["h"], {"a"}),
    "weight_data": (["c", "b.0", "h"], set()),
    "held_elsewhere": (["c", "b.0", "h"], set()),
    "tied_linear": (["f"], {"f"}),
    "tied_kernels": (["b", "h"], set()),
    "held_twice": (["b.0"], set()),
    "unsaved_position": (["b", "h"], set()),
    "by_way_of_bytes": (["h"], {"a.0"}),
    "asserted": (["h"], {"a.0"}),
    "conv_lstm": (["a.c", "b.c"], set()),
    "recurrence_by_hand": (["s"], set()),
    "recurrence_by_cells": (["h"], set()),
    "empty_part": (["h"], {"a.0"}),
    "data_dependent": (["h"], {"a.0"}),
    "one_conv_head": (["2"], set()),
    "softmax_out": (["4"], {"4"}),
    "channel_dropout": (["3", "8"], set()),
    "fpn": (["b.0", "l2", "o.0", "h"], set()),
    "flat_norm": (["4", "7"], set()),
    "reflect": (["3", "7"], set()),
}
"""Units, and layers that stay whole besides those of the output, by network."""

REFUSED = {
    "spectral": "no channels that can be pruned.*vdot in 'b.parametrizations.weight.0'",
    "old_weight_norm": "computes its weight in a hook, WeightNorm",
    "batch_hard_coded": r"view \(variants.py:\d+\) holds a number of channels",
}


def test_every_variant_has_an_expected_result() -> None:
    assert VARIANTS.keys() == PRUNED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", PRUNED)
def test_a_variant_is_pruned_as_required(name: str) -> None:
    torch.manual_seed(0)
    task = task_of(with_statistics(VARIANTS[name]()))
    graph = engines.analysis(task).graph
    units, whole = PRUNED[name]
    assert [unit.name for unit in graph.units] == units
    assert {n for n, why in graph.fixed.items() if why != "the network's output"} == whole
    check(task)


@pytest.mark.parametrize("name", ["mha", "decoder_layer", "fused_attention", "convnext"])
def test_changed_width_attributes_come_back_from_a_file(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = task_of(with_statistics(VARIANTS[name]()))
    small = amc_gym.compress(task, searched(task)[0].plan)
    amc_gym.export(small, task, tmp_path / "small.safetensors")
    torch.manual_seed(1)
    again = amc_gym.load(tmp_path / "small.safetensors", VARIANTS[name]())
    images = task.reward.batch(slice(3))
    close(logits(again, images), logits(small, images), 1e-6)
    if name == "fused_attention":
        assert isinstance(again, Attention)
        assert again.head_dim * again.heads == again.attn_dim == again.proj.in_features < 32


@pytest.mark.parametrize("name", ["tied_kernels", "held_twice", "tied_linear", "unsaved_position"])
def test_a_file_holds_each_tensor_once_and_gives_it_back_to_all_owners(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    task = task_of(with_statistics(VARIANTS[name]()))
    small = amc_gym.compress(task, searched(task)[0].plan)
    path = tmp_path / "small.safetensors"
    amc_gym.export(small, task, path)
    assert len(load_file(path)) == len({*small.parameters(), *small.buffers()})
    torch.manual_seed(1)
    again = amc_gym.load(path, VARIANTS[name]())
    images = task.reward.batch(slice(3))
    close(logits(again, images), logits(small, images), 1e-6)
    ours, theirs = ([*each.parameters()] for each in (again, small))
    assert [p.shape for p in ours] == [p.shape for p in theirs]


def test_a_file_that_unties_tensors_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = with_statistics(VARIANTS["tied_kernels"]())
    task = task_of(network)
    small = amc_gym.compress(task, searched(task)[0].plan)
    other = torch.zeros_like(small.b.weight)
    with pytest.raises(RebuildError, match="'c' are not those that they are tied to"):
        rebuild(network, describe(small), {**distinct(small), "c.weight": other})


def test_a_narrower_stream_with_whole_heads_comes_back_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = with_statistics(VARIANTS["encoder_layer"]())
    task = task_of(network)
    found = searched(task)[0].plan
    plan = replace(found, kept={**found.kept, "e.self_attn.out_proj": tuple(range(8))})
    small = amc_gym.compress(task, plan)
    sizes = {name: tuple(tensor.shape) for name, tensor in small.state_dict().items()}
    assert sizes["h.weight"][1] < 32 == sizes["e.self_attn.out_proj.weight"][1]
    amc_gym.export(small, task, tmp_path / "small.safetensors")
    again = amc_gym.load(tmp_path / "small.safetensors", network)
    images = task.reward.batch(slice(3))
    close(logits(again, images), logits(small, images), 1e-6)


def test_numbers_in_a_library_keep_channels_whole_instead_of_asking_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users cannot change an installed library, so its network is not refused."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    source = inspect.getsource(VARIANTS["batch_hard_coded"]).replace("@case\n", "")
    imports = "from torch import nn\nfrom networks.variants import block\n"
    code = source.replace("self.h = ", "self.b = block(16, 16)\n            self.h = ")
    code = code.replace("self.a(x)", "self.b(self.a(x))")
    (folder / "installed_network.py").write_text(imports + code)
    monkeypatch.syspath_prepend(folder)
    network = importlib.import_module("installed_network").batch_hard_coded()
    task = task_of(with_statistics(network))
    graph = engines.analysis(task).graph
    assert [unit.name for unit in graph.units] == ["b.0"]
    assert "holds a number of channels" in graph.fixed["b.0"]
    check(task)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_a_variant_is_refused_by_name(name: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=REFUSED[name]):
        searched(task_of(with_statistics(VARIANTS[name]())))
