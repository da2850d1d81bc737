"""Pooling: against the formulas as plain loops, padded slices ignored, order irrelevant."""

import math

import pytest
import torch

from headct_molre.models.pooling import POOLINGS, AttentionPooling, GatedAttentionPooling


@pytest.fixture
def features():
    torch.manual_seed(0)
    return torch.randn(2, 7, 16)


def softmax(scores):
    weights = [math.exp(score) for score in scores]
    return torch.tensor([weight / sum(weights) for weight in weights])


def test_the_query_form_is_that_of_the_paper(features):
    pooling = AttentionPooling(16)
    torch.nn.init.normal_(pooling.query)
    scores = [float(h @ pooling.query) / 4 for h in features[0]]
    torch.testing.assert_close(pooling(features)[0], softmax(scores))


def test_the_gated_form_is_that_of_ilse(features):
    pooling = GatedAttentionPooling(16, width=5)
    v, u, w = pooling.content, pooling.gate, pooling.score.weight[0]
    scores = [float(w @ (torch.tanh(v.weight @ h + v.bias) * torch.sigmoid(u.weight @ h + u.bias))) for h in features[1]]
    torch.testing.assert_close(pooling(features)[1], softmax(scores))


@pytest.mark.parametrize("name", POOLINGS)
def test_padded_slices_get_nothing_and_change_nothing(name, features):
    torch.manual_seed(1)
    pooling = POOLINGS[name](16)
    padded = torch.cat([features, torch.full((2, 3, 16), 1e3)], 1)
    attention = pooling(padded, torch.arange(10).expand(2, 10) < 7)
    torch.testing.assert_close(attention[:, :7], pooling(features))
    assert attention[:, 7:].max() == 0
    torch.testing.assert_close(pooling(features.flip(1)), pooling(features).flip(1))
