"""LoRA: starts as the identity, splits fused projections, merges exactly, and never misses its target in silence."""

import pytest
import torch
from torch import nn

from headct_molre.models.lora import LoRATarget, add_lora, lora_parameters, merge_lora


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 24, 4, 4)
        self.qkv = nn.Linear(24, 72)
        self.proj = nn.Linear(24, 24)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).chunk(3, -1)
        return self.proj((q @ k.transpose(1, 2)).softmax(-1) @ v).mean(1)


TARGETS = (LoRATarget("qkv", splits=3), LoRATarget("proj"), LoRATarget("patch"))


@pytest.fixture
def adapted():
    torch.manual_seed(0)
    block = Block()
    assert add_lora(block, TARGETS, rank=4, alpha=8) == 3
    return block


def move(block):
    for parameter in lora_parameters(block):
        nn.init.normal_(parameter, std=0.2)


def test_starts_as_the_identity():
    torch.manual_seed(0)
    block, x = Block(), torch.randn(2, 3, 16, 16)
    before = block(x)
    add_lora(block, TARGETS)
    torch.testing.assert_close(block(x), before)


def test_merging_does_not_change_the_output(adapted):
    x = torch.randn(2, 3, 16, 16)
    unadapted = adapted(x)
    move(adapted)
    output = adapted(x)
    assert not torch.allclose(output, unadapted, atol=1e-2)
    merge_lora(adapted)
    assert not lora_parameters(adapted)
    torch.testing.assert_close(adapted(x), output, atol=1e-4, rtol=1e-4)


def test_q_k_and_v_have_a_pair_each(adapted):
    down, up = adapted.qkv.lora_down, adapted.qkv.lora_up
    assert down.shape == (3, 4, 24)
    assert up.shape == (3, 24, 4)
    with torch.no_grad():
        up[2] = 1.0  # only v may change
    x = torch.randn(5, 24)
    changed = (adapted.qkv(x) - adapted.qkv.base(x)).abs().sum(0)
    assert changed[:48].max() == 0
    assert changed[48:].min() > 0


def test_a_target_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match="query"):
        add_lora(Block(), (LoRATarget("query"),))
