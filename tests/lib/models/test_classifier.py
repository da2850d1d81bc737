"""What does not depend on the backbone; test_backbone_contract.py holds what every backbone's classifier promises."""

import torch

from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.demo import INPUT_PX
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier, adapted_classifier

SPEC = backbone_spec("demo")


def test_stored_state_holds_everything_but_the_frozen_backbone():
    classifier = adapted_classifier(NormalisedBackbone(SPEC), SPEC, 75)
    classifier.freeze_backbone()
    trainable = {name for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    assert set(classifier.trainable_state()) == trainable
    assert len([name for name in trainable if ".lora_" in name]) == 2 * (2 * 4 + 1)


def test_an_unlabelled_finding_stays_at_zero_and_never_at_random():
    classifier = HeadCTClassifier(NormalisedBackbone(SPEC), SPEC, 75)
    with torch.no_grad():
        assert classifier(torch.rand(1, 3, 3, *INPUT_PX)).logits.abs().max() == 0


def test_evidence_is_exact_with_the_gated_pooling_too():
    torch.manual_seed(0)
    classifier = adapted_classifier(NormalisedBackbone(SPEC), SPEC, 75, pooling="gated").eval()
    torch.nn.init.normal_(classifier.head.weight)
    with torch.no_grad():
        output = classifier(torch.rand(2, 6, 3, *INPUT_PX))
    assert output.logits.std() > 0.1
    torch.testing.assert_close(output.evidence.sum(-1) + output.bias, output.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.attention.sum(-1), torch.ones(2))


def test_demo_backbone_is_below_8_million_parameters():
    assert sum(parameter.numel() for parameter in NormalisedBackbone(SPEC).parameters()) < 8e6
