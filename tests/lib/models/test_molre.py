"""MoLRE against the formula of the paper, written as a plain loop."""

import pytest
import torch

from headct_molre.models.molre import MoLRE


def active_molre(dimension=32, **settings):
    """A MoLRE away from its start, where every term of the formula matters."""
    torch.manual_seed(1)
    molre = MoLRE(dimension, **settings)
    for parameter in molre.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return molre


@pytest.mark.parametrize("projection", [None, torch.randn(32, 32)])
def test_equals_a_loop_over_experts(projection):
    molre = active_molre(projection=projection)
    x = torch.randn(5, 7, 32)
    features, router = molre(x)
    gates = torch.softmax(molre.router[2](torch.relu(molre.router[0](x))), -1)
    expected = x.clone() if projection is None else x @ projection
    for i in range(6):
        hidden = x @ molre.down[i].T + molre.down_bias[i]
        expected += gates[..., i : i + 1] * (hidden @ molre.up[i].T + molre.up_bias[i])
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(router, gates)


@pytest.mark.parametrize("projection", [None, torch.randn(32, 32)])
def test_starts_at_the_frozen_path(projection):
    x = torch.randn(4, 32)
    features, router = MoLRE(32, projection=projection)(x)
    assert torch.equal(features, x if projection is None else x @ projection)
    torch.testing.assert_close(router.sum(-1), torch.ones(4))


def test_every_parameter_learns_once_the_experts_have_moved():
    molre = active_molre()
    features, _ = molre(torch.randn(4, 32))
    features.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in molre.parameters())


@pytest.mark.parametrize(("dimension", "published"), [(768, 0.28), (1024, 0.37), (1152, 0.41)])
def test_parameter_count_is_the_published_one(dimension, published):
    count = sum(parameter.numel() for parameter in MoLRE(dimension).parameters())
    assert round(count / 1e6, 2) == published


@pytest.mark.parametrize("projection", [None, torch.randn(32, 32)])
def test_with_the_gates_held_whatever_sums_to_an_input_has_an_exact_share(projection):
    molre = active_molre(projection=projection)
    torch.nn.init.zeros_(molre.router[2].weight)  # the gates are those of the bias, for every input
    weight, parts = torch.randn(5, 32), torch.randn(2, 3, 32)
    whole, gates = molre(parts.sum(1))
    nothing, _ = molre(torch.zeros(2, 32))
    shares = torch.einsum("bfd,bzd->bfz", molre.linear_part(weight, gates), parts)
    torch.testing.assert_close(shares.sum(-1) + nothing @ weight.T, whole @ weight.T, atol=1e-4, rtol=1e-4)
