"""The classifier's promises: exact evidence, padded slices ignored, order of slices irrelevant, frozen backbone."""

import pytest
import torch
from torch import nn

from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.models.lora import add_lora


def make(findings=75):
    torch.manual_seed(0)
    spec = backbone_spec("demo")
    backbone = NormalisedBackbone(spec)
    add_lora(backbone, spec.lora_targets)
    classifier = HeadCTClassifier(backbone, spec, findings)
    classifier.freeze_backbone()
    for name, parameter in classifier.named_parameters():
        if not name.startswith("backbone."):
            nn.init.normal_(parameter, std=0.1)
    return classifier.eval(), spec


@pytest.fixture(scope="module")
def studies():
    torch.manual_seed(1)
    return torch.rand(2, 6, 3, 112, 96)


def test_evidence_and_bias_sum_to_the_logit(studies):
    classifier, _ = make()
    with torch.no_grad():
        output = classifier(studies)
    torch.testing.assert_close(output.evidence.sum(-1) + classifier.head.bias, output.logits, atol=1e-5, rtol=0)
    # and the logit is that of the usual order: pool first, then the head
    with torch.no_grad():
        adapted, _ = classifier.molre(classifier.features(studies))
        pooled = torch.einsum("bs,bsd->bd", output.attention, adapted)
        torch.testing.assert_close(classifier.head(pooled), output.logits, atol=1e-5, rtol=1e-5)


def test_attention_and_router_weights_sum_to_one(studies):
    classifier, _ = make()
    with torch.no_grad():
        output = classifier(studies)
    torch.testing.assert_close(output.attention.sum(-1), torch.ones(2))
    torch.testing.assert_close(output.router.sum(-1), torch.ones(2, 6))


def test_padded_slices_are_ignored(studies):
    classifier, _ = make()
    padded = torch.cat([studies, torch.full((2, 3, 3, 112, 96), 7.0)], 1)
    mask = torch.arange(9).expand(2, 9) < 6
    with torch.no_grad():
        alone, output = classifier(studies), classifier(padded, mask)
    torch.testing.assert_close(output.logits, alone.logits, atol=1e-5, rtol=1e-5)
    assert output.attention[:, 6:].max() == 0
    assert output.evidence[:, :, 6:].abs().max() == 0


def test_order_of_slices_does_not_change_the_logits(studies):
    classifier, _ = make()
    with torch.no_grad():
        torch.testing.assert_close(classifier(studies.flip(1)).logits, classifier(studies).logits, atol=1e-5, rtol=1e-5)


def test_only_adapters_and_head_learn(studies):
    classifier, _ = make()
    classifier(studies[:1, :2]).logits.sum().backward()
    for name, parameter in classifier.named_parameters():
        trainable = not name.startswith("backbone.") or ".lora_" in name
        assert parameter.requires_grad == trainable, name
        assert (parameter.grad is not None) == trainable, name


def test_stored_state_holds_everything_but_the_frozen_backbone():
    classifier, _ = make()
    state = classifier.trainable_state()
    trainable = {name for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    assert set(state) == trainable


def test_an_unlabelled_finding_stays_at_zero_and_never_at_random():
    spec = backbone_spec("demo")
    classifier = HeadCTClassifier(NormalisedBackbone(spec), spec, 75)
    with torch.no_grad():
        assert classifier(torch.rand(1, 3, 3, 112, 96)).logits.abs().max() == 0


def test_demo_backbone_is_below_8_million_parameters():
    assert sum(parameter.numel() for parameter in NormalisedBackbone(backbone_spec("demo")).parameters()) < 8e6
