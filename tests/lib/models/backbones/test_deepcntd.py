"""The network in DeepCNTD's style: the two published numbers of parameters, frozen segmentation, and a share for each real slice."""

import re

import pytest
import torch

from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.spec import NormalisedBackbone, model_input
from small_backbones.deepcntd import SIZE, SMALL, build, random_state

SPEC = backbone_spec("deepcntd")
FINDINGS = 75


@pytest.fixture
def network():
    network = build((32, 32))
    network.load_state_dict(random_state(0))
    return network.eval()


@pytest.fixture(scope="module")
def study():
    """Two studies of 48 slices of which 40 and 11 are real, and the mask of those."""
    volume = torch.rand(2, 3, 48, 32, 32, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(48) < torch.tensor([[40], [11]])
    return volume * mask[:, None, :, None, None], mask


def test_parameters_are_as_many_as_published():
    with torch.device("meta"):
        network = SPEC.build(SPEC.input_px)
        parts = network(torch.rand(1, 3, SPEC.depth, *SPEC.input_px), torch.ones(1, SPEC.depth, dtype=torch.bool))
    head = FINDINGS * (SPEC.dimension + 1)
    counts = {name: parameter.numel() for name, parameter in network.named_parameters()}
    trained = {name: count for name, count in counts.items() if re.fullmatch(SPEC.trained, name)}
    assert f"{(sum(counts.values()) + head) / 1e6:.1f}" == "6.9"
    assert f"{(sum(trained.values()) + head) / 1e6:.2f}" == "1.08"
    assert parts.shape == (1, SPEC.depth, SPEC.dimension)
    assert not SPEC.molre


def test_parts_sum_to_the_mean_over_the_real_slices(network, study):
    volume, mask = study
    with torch.no_grad():
        parts = network(volume, mask)
        slices = network.detector(network.maps(volume))
    for at, real in enumerate((40, 11)):
        torch.testing.assert_close(parts[at].sum(0), slices[at, :, :real].mean((1, 2, 3)), atol=1e-6, rtol=1e-5)
    assert parts.abs().sum() > 1


def test_slices_that_are_not_real_have_no_part(network, study):
    with torch.no_grad():
        parts = network(*study)
    assert parts[0, 40:].abs().max() == 0
    assert parts[1, 11:].abs().max() == 0
    assert parts[0, :40].abs().sum(-1).min() > 0


def test_a_lesion_changes_most_the_parts_at_its_own_depth(network, study):
    volume, mask = study
    lesion = volume.clone()
    lesion[0, :, 30:33, 10:20, 10:20] = 4.0
    with torch.no_grad():
        change = (network(lesion, mask) - network(volume, mask))[0].abs().sum(-1)
    assert 30 <= change.argmax() < 33


def test_a_study_does_not_depend_on_those_beside_it(network, study):
    volume, mask = study
    with torch.no_grad():
        together = network(volume, mask)
        torch.testing.assert_close(network(volume[1:], mask[1:])[0], together[1])
        torch.testing.assert_close(network(volume, mask), together, atol=0, rtol=0)
        torch.testing.assert_close(network.train()(volume, mask), together)


def test_only_the_detector_learns(network, study):
    network.train()
    assert not network.hemorrhage.training
    assert not network.anatomy.training
    assert network.detector.training
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.SGD([parameter for parameter in network.parameters() if parameter.requires_grad], lr=1.0)
    network(*study).square().sum().backward()
    optimiser.step()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) == (not re.fullmatch(SPEC.trained, name)), name


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_says_nearly_the_same(network, study, autocast):
    volume, mask = study
    with torch.no_grad():
        exact = network(volume, mask).sum(1)
        if autocast:
            with torch.autocast("cpu", torch.bfloat16):
                rounded = network(volume, mask).sum(1)
        else:
            rounded = network.bfloat16()(volume.bfloat16(), mask).sum(1)
    assert torch.nn.functional.cosine_similarity(exact, rounded.float()).min() > 0.99


def test_backbone_takes_a_study_of_any_number_of_slices():
    small = SMALL["deepcntd"].spec
    backbone = NormalisedBackbone(small).eval()
    hu = torch.rand(9, 256, 256).numpy() * 100
    slices, mask = model_input(small, hu)
    with torch.no_grad():
        parts = backbone(slices[None], mask[None])
    assert parts.shape == (1, 48, SIZE.dimension)
    assert (parts[0].abs().sum(-1) > 0).tolist() == [True] * 9 + [False] * 39


def test_every_key_is_used():
    (form,) = SPEC.formats
    state = random_state(0)
    assert form.fits(set(state))
    assert all(re.fullmatch(form.reads, key) for key in state)
