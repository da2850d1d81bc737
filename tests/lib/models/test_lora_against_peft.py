"""Our LoRA and peft's are the same: as many parameters, the same output from the same A and B, the same merged network."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from headct_molre.models.lora import LoRAConv2d, LoRALinear, add_lora, lora_parameters, merge_lora
from small_backbones import dinov3, medgemma, medimageinsight
from small_backbones.loading import small_backbone

RANK, ALPHA = 4, 8
SMALL = dinov3.SMALL | medimageinsight.SMALL | medgemma.SMALL


def backbone(name):
    """A small backbone with random weights, frozen."""
    return small_backbone(SMALL[name]).requires_grad_(False)


def by_peft(model, targets):
    """peft's adaptation in place. Three splits of rank r are, to peft, one pair of rank 3 r whose B is block diagonal."""
    from peft import LoraConfig, inject_adapter_in_model

    split = {target.pattern: target.splits for target in targets if target.splits > 1}
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        target_modules="|".join(f"({target.pattern})" for target in targets),
        rank_pattern={pattern: RANK * splits for pattern, splits in split.items()},
        alpha_pattern={pattern: ALPHA * splits for pattern, splits in split.items()},
    )
    return inject_adapter_in_model(config, model)


@torch.no_grad()
def copy_pairs(ours, peft):
    """Give peft's modules the A and B of ours; returns how many."""
    count = 0
    for name, module in ours.named_modules():
        if isinstance(module, LoRALinear | LoRAConv2d):
            a, b = (peft.get_submodule(name).get_submodule(f"lora_{side}.default").weight for side in "AB")
            if isinstance(module, LoRALinear):
                a.copy_(module.lora_down.flatten(0, 1))
                b.copy_(torch.block_diag(*module.lora_up))
            else:
                a.copy_(module.lora_down)
                b.copy_(module.lora_up)
            count += 1
    return count


def merge_by_peft(model):
    """Every adaptation of peft folded into its weights."""
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.merge()


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_same_pairs_give_the_same_output_and_the_same_merged_network(name):
    torch.manual_seed(0)
    spec = SMALL[name].spec
    ours = backbone(name)
    theirs = by_peft(deepcopy(ours), spec.lora_targets)
    added = add_lora(ours, spec.lora_targets, RANK, ALPHA)
    x = torch.rand(2, 3, *spec.input_px)
    before = ours(x)
    for parameter in lora_parameters(ours):
        nn.init.normal_(parameter, std=0.2)
    assert copy_pairs(ours, theirs) == added
    output = ours(x)
    assert (output - before).abs().max() > 0.1
    torch.testing.assert_close(output, theirs(x), atol=2e-5, rtol=1e-5)
    merge_lora(ours)
    merge_by_peft(theirs)
    torch.testing.assert_close(ours(x), theirs(x), atol=2e-5, rtol=1e-5)
    qkv = next(name for name, module in ours.named_modules() if name.endswith("attn.qkv"))
    merged = theirs.get_submodule(qkv).base_layer.weight
    torch.testing.assert_close(ours.get_submodule(qkv).weight, merged, atol=1e-6, rtol=1e-6)


def trainable(parameters):
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)


def test_shared_pairs_are_as_many_parameters_as_peft_trains():
    ours = backbone("medimageinsight")
    theirs = by_peft(deepcopy(ours), SMALL["medimageinsight"].spec.lora_targets)
    add_lora(ours, SMALL["medimageinsight"].spec.lora_targets, RANK, ALPHA)
    assert trainable(lora_parameters(ours)) == trainable(theirs.parameters()) > 0


@pytest.mark.parametrize(
    ("name", "network", "targets"),
    [
        (
            "dinov3_base",
            lambda: dinov3.transformers_network(dinov3.SIZES["dinov3_base"], 0),
            ["q_proj", "k_proj", "v_proj", "o_proj", "patch_embeddings"],
        ),
        (
            "medgemma",
            lambda: deepcopy(medgemma.siglip_network(0).vision_model),
            r".*self_attn\.(q_proj|k_proj|v_proj|out_proj)|embeddings\.patch_embedding",
        ),
    ],
)
def test_split_pairs_are_as_many_parameters_as_peft_trains_on_separate_projections(name, network, targets):
    from peft import LoraConfig, inject_adapter_in_model

    ours = backbone(name)
    add_lora(ours, SMALL[name].spec.lora_targets, RANK, ALPHA)
    theirs = inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets), network())
    assert trainable(lora_parameters(ours)) == trainable(theirs.parameters()) > 0
