"""The loss learns from known labels only."""

import torch
from monai.losses import FocalLoss

from headct_molre.training.losses import MaskedFocalLoss, focal_loss, prevalence_weights


def test_equals_the_formula_of_focal_loss():
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4), torch.randint(0, 2, (6, 4)).float()
    p = torch.where(labels == 1, logits.sigmoid(), 1 - logits.sigmoid())
    torch.testing.assert_close(MaskedFocalLoss()(logits, labels), (-((1 - p) ** 2) * p.log()).mean())


def test_is_the_loss_of_monai():
    torch.manual_seed(0)
    logits, labels = 4 * torch.randn(6, 4), torch.rand(6, 4).round(decimals=1)
    assert torch.equal(focal_loss(logits, labels, 2.0), FocalLoss(gamma=2.0, reduction="none")(logits, labels))


def test_not_assessed_gives_neither_loss_nor_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    labels = torch.tensor([[1.0, float("nan"), 0.0], [float("nan")] * 3])
    loss = MaskedFocalLoss(torch.tensor([2.0, 2.0, 2.0]))(logits, labels)
    loss.backward()
    assert loss.isfinite()
    assert (logits.grad != 0).tolist() == [[True, False, True], [False, False, False]]


def test_nothing_known_is_a_loss_of_zero():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = MaskedFocalLoss()(logits, torch.full((2, 3), float("nan")))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_rare_findings_weigh_more():
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, float("nan")], [0.0, 0.0]])
    torch.testing.assert_close(prevalence_weights(labels), torch.tensor([3.0**0.5, 1.0]))
