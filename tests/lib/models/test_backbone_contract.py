"""What every backbone promises, from one template; each in its reduced form, loaded from a checkpoint as it is published."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from headct_molre.data.phantom import write_cohort
from headct_molre.errors import ModelUnavailable
from headct_molre.models import checkpoint
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.models.backbones.spec import model_input, to_input
from headct_molre.models.counts import count_parameters
from headct_molre.models.lora import merge_lora
from headct_molre.models.published import TABLE_2
from headct_molre.models.weights import load_backbone
from headct_molre.predict import Predictor
from small_backbones import small_backbones, use_small_backbones
from trained_versions import active_classifier, install_backbone, install_version

SMALL = small_backbones()
EVERY = pytest.mark.parametrize("name", backbone_names())
OF_SLICES = pytest.mark.parametrize("name", [name for name in backbone_names() if SMALL[name].spec.level == "slice"])
OF_VOLUMES = pytest.mark.parametrize("name", [name for name in backbone_names() if SMALL[name].spec.level == "volume"])
WITH_LORA = pytest.mark.parametrize("name", [name for name in backbone_names() if SMALL[name].spec.lora_targets])
EVERY_FORMAT = pytest.mark.parametrize(("name", "key_format"), [(name, key) for name in SMALL for key in SMALL[name].official])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    use_small_backbones(monkeypatch.setattr)
    return tmp_path


def classifier_of(home, name):
    install_backbone(home, SMALL[name])
    return active_classifier(backbone_spec(name))[0]


def studies(name, count=2, slices=9):
    """Random windowed studies (B, S, C, H, W) as the backbone takes them, and which slices are real."""
    spec = SMALL[name].spec
    rng = np.random.default_rng(3)
    side = spec.grid.field_px
    # Coarse structure and not white noise, which a patch embedding would average away.
    hu = np.kron(rng.uniform(-100, 150, (count, slices, side // 8, side // 8)), np.ones((8, 8))).astype(np.float32)
    inputs = [model_input(spec, study) for study in hu]
    return torch.stack([slices for slices, _ in inputs]), torch.stack([mask for _, mask in inputs])


def test_each_backbone_has_a_reduced_form_in_each_of_its_formats():
    assert set(SMALL) == set(backbone_names())
    for name in backbone_names():
        assert set(SMALL[name].official) == {published.name for published in backbone_spec(name).formats}


@EVERY
def test_shapes_types_and_sums(home, name):
    classifier, (slices, mask) = classifier_of(home, name), studies(name)
    with torch.no_grad():
        features = classifier.features(slices, mask)
        output = classifier(slices, mask)
    assert features.shape[0] == 2
    assert features.shape[2] == SMALL[name].spec.dimension
    assert slices.shape[1] % features.shape[1] == 0
    assert output.logits.shape == output.bias.shape == (2, 75)
    assert output.evidence.shape == (2, 75, slices.shape[1])
    assert output.attention.shape == slices.shape[:2]
    assert output.router.shape == (*slices.shape[:2], 6 if SMALL[name].spec.molre else 0)
    for tensor in (features, output.logits, output.evidence, output.attention, output.router):
        assert tensor.dtype == torch.float32
        assert torch.isfinite(tensor).all()
    assert output.logits.std() > 0
    torch.testing.assert_close(output.attention.sum(-1), torch.ones(2))
    if SMALL[name].spec.molre:
        torch.testing.assert_close(output.router.sum(-1), torch.ones(slices.shape[:2]))


@EVERY
def test_the_same_input_gives_the_same_bits(home, name):
    classifier, (slices, mask) = classifier_of(home, name), studies(name)
    with torch.no_grad():
        assert torch.equal(classifier(slices, mask).logits, classifier(slices, mask).logits)


@EVERY
def test_evidence_and_bias_are_the_logit_exactly(home, name):
    classifier, (slices, mask) = classifier_of(home, name), studies(name)
    with torch.no_grad():
        output = classifier(slices, mask)
        features = classifier.features(slices, mask)
        # The usual order: pool, adapt, then the head.
        if classifier.level == "volume":
            pooled = features.sum(1)
            adapted = pooled if classifier.molre is None else classifier.molre(pooled)[0]
        else:
            adapted = torch.einsum("bs,bsd->bd", output.attention, classifier.molre(features)[0])
        expected = classifier.head(adapted)
    torch.testing.assert_close(output.logits, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.evidence.sum(-1) + output.bias, output.logits, atol=1e-5, rtol=1e-5)
    assert output.evidence.std(-1).max() > 0


@EVERY
def test_gradient_reaches_what_learns_and_nothing_else(home, name):
    classifier, (slices, mask) = classifier_of(home, name), studies(name, count=1, slices=2)
    classifier(slices, mask).logits.square().sum().backward()
    learns = {key for key, parameter in classifier.named_parameters() if parameter.requires_grad}
    reached = {key for key, parameter in classifier.named_parameters() if parameter.grad is not None and parameter.grad.abs().max() > 0}
    assert reached == learns
    assert learns <= set(classifier.trainable_state())
    frozen = [key for key in classifier.state_dict() if key not in classifier.trainable_state()]
    assert all(key.startswith("backbone.") for key in frozen)


@OF_SLICES
def test_padded_slices_are_ignored(home, name):
    classifier, (slices, _) = classifier_of(home, name), studies(name)
    padded = torch.cat([slices, torch.full_like(slices[:, :3], 7.0)], 1)
    mask = torch.arange(12).expand(2, 12) < 9
    with torch.no_grad():
        alone, output = classifier(slices), classifier(padded, mask)
    torch.testing.assert_close(output.logits, alone.logits, atol=1e-5, rtol=1e-5)
    assert output.attention[:, 9:].max() == 0
    assert output.evidence[:, :, 9:].abs().max() == 0


@OF_VOLUMES
def test_slices_that_fill_up_a_volume_get_no_share(home, name):
    classifier, (slices, mask) = classifier_of(home, name), studies(name)
    with torch.no_grad():
        output = classifier(slices, mask)
    assert (~mask).any()
    assert output.attention.masked_select(~mask).abs().sum() == 0
    assert output.evidence.masked_select(~mask[:, None].expand_as(output.evidence)).abs().sum() == 0


@OF_SLICES
def test_the_order_of_slices_does_not_change_the_result(home, name):
    classifier, (slices, _) = classifier_of(home, name), studies(name)
    with torch.no_grad():
        torch.testing.assert_close(classifier(slices.flip(1)).logits, classifier(slices).logits, atol=1e-5, rtol=1e-5)


@OF_SLICES
def test_chunks_and_checkpoints_change_neither_result_nor_gradient(home, name):
    classifier, (slices, _) = classifier_of(home, name), studies(name, count=1)
    gradients = []
    for classifier.chunk, classifier.checkpointing in ((64, False), (4, False), (4, True)):
        classifier.zero_grad()
        logits = classifier(slices).logits
        logits.square().sum().backward()
        gradients.append([logits.detach(), *(parameter.grad.clone() for parameter in classifier.parameters() if parameter.requires_grad)])
    for other in gradients[1:]:
        for value, expected in zip(other, gradients[0], strict=True):
            torch.testing.assert_close(value, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)


@EVERY
def test_a_stored_version_answers_as_the_one_that_was_saved(home, name):
    install_backbone(home, SMALL[name])
    trained, card = install_version(home, backbone_spec(name))
    loaded, loaded_card, spec = checkpoint.load_classifier(name)
    assert (loaded_card, spec) == (card, SMALL[name].spec)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    slices, mask = studies(name)
    with torch.no_grad():
        torch.testing.assert_close(loaded(slices, mask).logits, trained(slices, mask).logits, atol=1e-4, rtol=1e-4)


@WITH_LORA
def test_adapters_matter_and_merging_them_changes_nothing(home, name):
    classifier, (slices, _) = classifier_of(home, name), studies(name)
    with torch.no_grad():
        frozen = load_backbone(backbone_spec(name))[0](slices[0])
        adapted = classifier.backbone(slices[0])
        merge_lora(classifier.backbone)
        merged = classifier.backbone(slices[0])
    assert (adapted - frozen).abs().max() > 1e-2 * frozen.abs().max()
    torch.testing.assert_close(merged, adapted, atol=1e-4 * float(adapted.abs().max()), rtol=1e-3)


@EVERY_FORMAT
def test_every_published_format_loads_whole_or_not_at_all(home, name, key_format):
    path = install_backbone(home, SMALL[name], key_format)
    spec = backbone_spec(name)
    published = next(published for published in spec.formats if published.name == key_format)
    state = load_file(path)
    assert [other.name for other in spec.formats if other.fits(set(state))] == [key_format]
    load_backbone(spec)
    read = sorted(key for key in state if re.fullmatch(published.reads, key))
    for lost in (read[0], read[len(read) // 2], read[-1]):
        save_file({key: tensor for key, tensor in state.items() if key != lost}, path)
        with pytest.raises(ModelUnavailable) as refusal:
            load_backbone(spec)
        assert refusal.value.code in ("weights_do_not_fit", "unknown_weights_format"), lost
    # A tensor of the tower that the network has no place for: beside one that is read, with a name that is read, too.
    surplus = next(name for key in read if re.fullmatch(published.reads, name := f"{key.rpartition('.')[0]}.surplus"))
    save_file({**state, surplus: torch.zeros(1)}, path)
    with pytest.raises(ModelUnavailable, match="surplus"):
        load_backbone(spec)


@EVERY
def test_every_backbone_takes_the_grid_of_a_study(name):
    spec = backbone_spec(name)
    grid = spec.grid
    assert to_input(spec, torch.rand(2, len(spec.windows), grid.field_px, grid.field_px)).shape[-2:] == spec.input_px
    hu = np.zeros((grid.slices, grid.field_px, grid.field_px), np.float32)
    slices, mask = model_input(dataclasses.replace(spec, input_px=(32, 32)), hu)
    assert slices.shape == (spec.depth or grid.slices, len(spec.windows), 32, 32)
    assert mask.sum() == grid.slices


@EVERY
def test_a_study_is_predicted_with_weights_in_the_published_format(home, name, tmp_path):
    install_backbone(home, SMALL[name])
    _, card = install_version(home, backbone_spec(name))
    (study,) = write_cohort(tmp_path / "studies", 1, seed=4, matrix=128)
    prediction = Predictor(name, device="cpu").predict(study, "phantom")
    assert prediction.model.weights_sha256 == card.weights_sha256
    spec = SMALL[name].spec
    assert prediction.router_level == (spec.level if spec.molre else None)
    assert len(prediction.slices) == prediction.frame.shape[0]
    assert sum(item.attention for item in prediction.slices) == pytest.approx(1)
    assert all(len(item.router) == (6 if spec.molre else 0) for item in prediction.slices)
    assert len({round(result.logit, 6) for result in prediction.findings}) > 70
    for result, evidence in zip(prediction.findings, prediction.evidence, strict=True):
        assert sum(evidence) + result.bias == pytest.approx(result.logit, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "backbone", "attention", "lora"),
    [
        ("dinov3_base", 85.660, 0.590, 0.602),
        ("dinov3_large", 303.129, 1.573, 1.587),
        ("medimageinsight", 362.734, 1.155, 1.158),
        ("medgemma", 428.565, 1.991, 2.005),
    ],
)
def test_backbones_and_lora_have_the_sizes_that_make_the_published_totals(name, backbone, attention, lora):
    spec = backbone_spec(name)
    counts = count_parameters(spec)
    without_convolution = count_parameters(dataclasses.replace(spec, lora_targets=spec.lora_targets[:2]))
    assert round(counts.backbone / 1e6, 3) == backbone
    assert round(without_convolution.lora / 1e6, 3) == attention
    assert round(counts.lora / 1e6, 3) == lora


@pytest.mark.parametrize("name", [name for name in backbone_names() if name in TABLE_2])
def test_counts_are_the_published_ones(name):
    counts, paper = count_parameters(backbone_spec(name)), TABLE_2[name]
    if name == "pillar0_headct":  # the paper counts the text adapter of the released file, which reads no image; see docs/models.md
        assert round(counts.backbone / 1e6, 2) == 80.37
    else:
        assert round(counts.total / 1e6, 1) == paper.total
    assert round(counts.molre / 1e6, 2) == (paper.molre or 0)
