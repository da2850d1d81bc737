"""A network in the style of DeepCNTD: two frozen segmentation networks beside a detector that reads their maps (arXiv 2502.21106).

This is not DeepCNTD, whose layers, inputs and weights are not public. What its authors say is that a network for the segmentation of
hemorrhages and one for the parcellation of anatomy, both pretrained, are fused into a detector, and that 1.08 of 6.9 million parameters
are trained. The rest is ours: MONAI's U-Net and dense blocks in sizes that make those two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...imaging.prepare import WINDOWS_HU
from .spec import BackboneSpec, KeyFormat

# Epidural, subdural, subarachnoid, intraventricular and intraparenchymal, and none.
HEMORRHAGE_CLASSES = 6
# Twelve regions of the brain and its surroundings, and none. How many DeepCNTD parcels is not public.
ANATOMY_CLASSES = 13

# Half the pixels, all the slices: what a slice contributes stays a matter of that slice and its neighbours.
IN_PLANE = (1, 2, 2)
# Batches hold one or two volumes, so statistics are the volume's own. Not each channel's own, though: the mean over slices, which is what
# is pooled, would then be the same for every volume.
GROUP_NORM = ("group", {"num_groups": 4})


@dataclass(frozen=True)
class DetectorSize:
    """Channels of the segmentation networks, fine to coarse; of the detector, those of its first layer, the layers of its dense blocks and
    what each of these adds.
    """

    segmentation: tuple[int, ...] = (16, 32, 48, 96, 200)
    first: int = 32
    layers: tuple[int, ...] = (2, 6, 8, 8)
    growth: int = 16

    @property
    def dimension(self) -> int:
        """Length of the pooled feature."""
        width = self.first
        for layers in self.layers[:-1]:
            width = _narrowed(width + layers * self.growth)
        return width + self.layers[-1] * self.growth


def _narrowed(width: int) -> int:
    """Half the channels, in whole groups of the norm."""
    return width // 8 * 4


def segmentation(channels: int, classes: int, widths: tuple[int, ...]) -> nn.Module:
    """MONAI's residual U-Net: (B, channels, D, H, W) -> logits (B, classes, D, H, W)."""
    from monai.networks.nets import UNet

    strides = (IN_PLANE, IN_PLANE, *((2, 2, 2) for _ in widths[3:]))
    return UNet(spatial_dims=3, in_channels=channels, out_channels=classes, channels=widths, strides=strides, num_res_units=2)


def detector(channels: int, size: DetectorSize) -> nn.Sequential:
    """Dense blocks with steps in the plane alone between them: (B, channels, D, H, W) -> (B, d, D, H / 16, W / 16) for four blocks."""
    from monai.networks.blocks import Convolution
    from monai.networks.layers.utils import get_norm_layer
    from monai.networks.nets.densenet import _DenseBlock

    width = size.first
    modules: list[nn.Module] = [
        Convolution(3, channels, width, strides=IN_PLANE, kernel_size=(3, 7, 7), norm=GROUP_NORM, act="relu", bias=False)
    ]
    for at, layers in enumerate(size.layers):
        if at:
            # A strided convolution and no mean: that of three dimensions does not exist in bfloat16 on a CPU.
            narrow = _narrowed(width)
            modules.append(Convolution(3, width, narrow, strides=IN_PLANE, kernel_size=IN_PLANE, padding=0, conv_only=True, bias=False))
            width = narrow
        modules.append(_DenseBlock(3, layers, width, 4, size.growth, 0.0, norm=GROUP_NORM))
        width += layers * size.growth
    return nn.Sequential(*modules, get_norm_layer(GROUP_NORM, 3, width), nn.ReLU(inplace=True))


class DeepCNTDStyle(nn.Module):
    """Windows and the two networks' class probabilities -> detector -> mean over all places of the real slices."""

    def __init__(self, channels: int, size: DetectorSize) -> None:
        super().__init__()
        self.hemorrhage = segmentation(channels, HEMORRHAGE_CLASSES, size.segmentation).requires_grad_(False)
        self.anatomy = segmentation(channels, ANATOMY_CLASSES, size.segmentation).requires_grad_(False)
        self.detector = detector(channels + HEMORRHAGE_CLASSES + ANATOMY_CLASSES, size)
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # a sixth faster on a CPU

    def train(self, mode: bool = True) -> DeepCNTDStyle:
        """Training mode for the detector alone."""
        super().train(mode)
        self.hemorrhage.eval()
        self.anatomy.eval()
        return self

    def maps(self, volume: torch.Tensor) -> torch.Tensor:
        """Windows (B, C, D, H, W) -> the same with the probabilities of hemorrhages and of regions as further channels."""
        # In training nothing is kept: the networks are frozen, and so is what they read. Heat maps ask for the gradient in the windows.
        with torch.set_grad_enabled(torch.is_grad_enabled() and volume.requires_grad):
            probabilities = [network(volume).softmax(1) for network in (self.hemorrhage, self.anatomy)]
        return torch.cat([volume, *probabilities], 1)

    def forward(self, volume: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Windows (B, C, D, H, W), lowest slice first, and which slices are real (B, D) -> parts (B, D, d) of the pooled feature."""
        volume = volume.contiguous(memory_format=torch.channels_last_3d)
        slices = self.detector(self.maps(volume)).mean((3, 4)).transpose(1, 2)  # (B, D, d)
        share = mask / mask.sum(1, keepdim=True).clamp(min=1)
        return slices * share[..., None].to(slices.dtype)


SIZE = DetectorSize()


def build(input_px: tuple[int, int], size: DetectorSize = SIZE) -> nn.Module:
    """The network without weights; it takes any input whose sides are multiples of 16 pixels."""
    return DeepCNTDStyle(len(WINDOWS_HU), size)


SPEC = BackboneSpec(
    name="deepcntd",
    title="DeepCNTD-style",
    build=build,
    dimension=SIZE.dimension,
    field_mm=(192, 192),
    input_px=(192, 192),
    depth=48,
    level="volume",
    pooling="mean over the real slices",
    formats=(KeyFormat("headct-molre", r"detector\.0\.conv\.weight", reads=r"(?:hemorrhage|anatomy|detector)\..*"),),
    trained=r"detector\..*",
    molre=False,
    licence="Apache-2.0",
)
