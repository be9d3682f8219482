"""The networks of the table: families of torchvision and of timm, the smallest member of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

TORCHVISION = (
    "alexnet", "vgg11", "vgg11_bn", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2",
    "squeezenet1_1", "densenet121", "googlenet", "inception_v3", "mobilenet_v2",
    "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5", "efficientnet_b0",
    "efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "vit_b_16",
    "swin_t", "swin_v2_t", "maxvit_t",
)  # fmt: skip
"""Classifiers of torchvision, one for each family and kind of block."""

TIMM = (
    "bat_resnext26ts", "beit_base_patch16_224", "botnet26t_256", "caformer_s18", "cait_xxs24_224",
    "coat_lite_tiny", "coatnet_nano_rw_224", "convformer_s18", "convit_tiny", "convmixer_768_32",
    "convnext_atto", "convnextv2_atto", "crossvit_tiny_240", "cs3darknet_s", "cspresnet50",
    "darknet17", "davit_tiny", "deit_tiny_patch16_224", "dla46_c", "dpn48b", "eca_resnet33ts",
    "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0", "efficientvit_b0",
    "efficientvit_m0", "ese_vovnet19b_slim", "eva02_tiny_patch14_224", "fasternet_t0",
    "fastvit_t8", "fbnetv3_b", "focalnet_tiny_srf", "gcvit_xxtiny", "gernet_s", "ghostnet_050",
    "gmlp_ti16_224", "hardcorenas_a", "hgnetv2_b0", "hiera_tiny_224", "hrnet_w18_small",
    "inception_next_atto", "inception_v4", "legacy_xception", "levit_128s", "lcnet_035",
    "mambaout_femto", "maxvit_rmlp_pico_rw_256", "mixer_s32_224", "mixnet_s",
    "mobilenetv4_conv_small",
    "mobileone_s0", "mobilevit_xxs", "mobilevitv2_050", "mvitv2_tiny", "nest_tiny",
    "nextvit_small", "nf_regnet_b0", "nf_resnet26", "pit_ti_224", "poolformer_s12", "pvt_v2_b0",
    "rdnet_tiny", "regnetz_005", "repghostnet_050", "repvgg_a0", "repvit_m0_9", "res2net50_48w_2s",
    "resmlp_12_224", "resnest14d", "resnetv2_18", "rexnet_100", "selecsls42b", "sequencer2d_s",
    "shvit_s1", "skresnet18", "starnet_s1", "swiftformer_xs", "swin_tiny_patch4_window7_224",
    "swinv2_cr_tiny_ns_224", "tf_mobilenetv3_small_minimal_100", "tiny_vit_5m_224",
    "tinynet_e", "tnt_s_patch16_224", "tresnet_m", "twins_svt_small", "vgg11",
    "visformer_tiny", "vit_tiny_patch16_224", "vit_relpos_small_patch16_224", "volo_d1_224",
    "xception41p", "xcit_nano_12_p16_224",
)  # fmt: skip
"""Networks of timm, one for each of its families."""

SIDE = 96
"""Height and width of the images of networks that take any."""


SIDES = {"vit_b_16": 224, "maxvit_t": 224, "swin_t": 224, "swin_v2_t": 256, "inception_v3": 139}
"""Sides for torchvision networks that need other images, or whose windows need larger ones."""


@dataclass(frozen=True)
class Entry:
    """One network of the catalogue.

    Attributes:
        source: "torchvision" or "timm".
        name: its name in that package.
    """

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"

    def build(self) -> tuple[nn.Module, torch.Tensor]:
        """Return the network, in eval mode with random weights and norms, and two noise images."""
        torch.manual_seed(0)
        model, side = self._torchvision() if self.source == "torchvision" else self._timm()
        generator = torch.Generator().manual_seed(1)
        return with_statistics(model, generator), torch.randn(2, 3, side, side, generator=generator)

    def _torchvision(self) -> tuple[nn.Module, int]:
        import torchvision

        options = {"init_weights": False} if self.name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(self.name, **options), SIDES.get(self.name, SIDE)

    def _timm(self) -> tuple[nn.Module, int]:
        import timm

        model = timm.create_model(self.name, pretrained=False)
        known: dict[str, Any] = vars(model)["pretrained_cfg"]
        if known.get("fixed_input_size", False):
            return model, known["input_size"][-1]
        return model, max(SIDE, (known.get("min_input_size") or (SIDE,))[-1])


def with_statistics(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Give norms random statistics, without which faults would not show; set eval mode."""
    drawn = {
        "weight": (0.5, 1.5),
        "bias": (-0.2, 0.2),
        "running_var": (0.5, 1.5),
        "running_mean": (-0.2, 0.2),
    }
    for module in model.modules():
        if "norm" not in type(module).__name__.lower():
            continue
        for name, (low, high) in drawn.items():
            tensor = getattr(module, name, None)
            if isinstance(tensor, torch.Tensor):
                tensor.data.uniform_(low, high, generator=generator)
    return model.eval()


ENTRIES = (
    *(Entry("torchvision", name) for name in TORCHVISION),
    *(Entry("timm", name) for name in TIMM),
)
"""All networks of the catalogue, in order."""
