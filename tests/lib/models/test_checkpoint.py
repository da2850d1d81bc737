"""Versions are immutable, whole and verified; what is missing is named with the remedy."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from headct_molre.errors import ModelUnavailable, NotFound
from headct_molre.models import checkpoint
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.demo import INPUT_PX
from small_backbones import small_backbones, use_small_backbones
from trained_versions import install_backbone, install_version


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A demo version with small random weights in a user's own folder, as a stand-in for a trained one."""
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    install_backbone(tmp_path, small_backbones()["demo"])
    classifier, card = install_version(tmp_path, backbone_spec("demo"))
    return tmp_path / "models" / "demo", classifier, card


def test_a_loaded_version_answers_as_the_one_that_was_saved(installed):
    _, trained, card = installed
    loaded, loaded_card, _ = checkpoint.load_classifier("demo")
    assert loaded_card == card
    slices = torch.rand(1, 3, 3, *INPUT_PX)
    with torch.no_grad():
        torch.testing.assert_close(loaded(slices).logits, trained(slices).logits, atol=1e-4, rtol=1e-4)


def test_a_version_is_never_overwritten(installed):
    folder, trained, card = installed
    before = (folder / "7" / "weights.safetensors").read_bytes()
    with pytest.raises(ModelUnavailable, match="never changed"):
        checkpoint.write_version(folder, card, trained.trainable_state())
    assert (folder / "7" / "weights.safetensors").read_bytes() == before


def test_damaged_weights_are_refused(installed):
    folder, _, _ = installed
    path = folder / "7" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="hash"):
        checkpoint.load_classifier("demo")


def test_other_backbone_weights_are_refused(installed):
    folder, _, _ = installed
    path = folder.parent.parent / "backbones" / "demo.safetensors"
    state = load_file(path)
    state["cls_token"] += 1
    save_file(state, path)
    with pytest.raises(ModelUnavailable, match="other weights"):
        checkpoint.load_classifier("demo")


def test_a_missing_champion_is_named(installed):
    folder, _, _ = installed
    (folder / "aliases.json").write_text(json.dumps({"champion": "8", "candidate": None}))
    with pytest.raises(ModelUnavailable, match="'8', which is not there"):
        checkpoint.load_card("demo")


@pytest.mark.parametrize("content", ["{", "[]", '{"champion": 5}', '{"champion": "../7"}', "{}"])
def test_damaged_aliases_are_refused(installed, content):
    folder, _, _ = installed
    (folder / "aliases.json").write_text(content)
    with pytest.raises(ModelUnavailable, match=r"aliases\.json"):
        checkpoint.load_card("demo")


def test_missing_weights_are_named_before_any_work(installed):
    folder, _, _ = installed
    (folder / "7" / "weights.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"weights\.safetensors is missing"):
        checkpoint.load_card("demo")


def test_a_version_cannot_replace_the_frozen_backbone(installed):
    folder, trained, card = installed
    state = {**trained.trainable_state(), "backbone.network.norm.weight": torch.zeros(192)}
    checkpoint.write_version(folder, card.model_copy(update={"version": "8"}), state)
    checkpoint.set_champion(folder, "8")
    with pytest.raises(ModelUnavailable, match=r"Unexpected: backbone\.network\.norm\.weight"):
        checkpoint.load_classifier("demo")


def test_the_input_has_the_size_that_the_version_was_trained_with(installed):
    folder, trained, card = installed
    assert checkpoint.load_classifier("demo")[0].input_px == INPUT_PX
    changed = card.model_copy(update={"version": "8", "hyperparameters": {**card.hyperparameters, "input_width_px": 208}})
    checkpoint.write_version(folder, changed, trained.trainable_state())
    checkpoint.set_champion(folder, "8")
    with pytest.raises(ModelUnavailable, match="pos_embed"):  # the demo's position embeddings fit one size only
        checkpoint.load_classifier("demo")


def test_a_backbone_of_two_sizes_needs_the_size_in_the_card(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    use_small_backbones(monkeypatch.setattr)
    small = small_backbones()["medgemma"]
    install_backbone(tmp_path, small)
    trained, card = install_version(tmp_path, small.spec)
    assert checkpoint.load_classifier("medgemma", "cpu")[0].input_px == small.spec.input_px
    settings = {name: value for name, value in card.hyperparameters.items() if not name.startswith("input_")}
    folder = tmp_path / "models" / "medgemma"
    changed = card.model_copy(update={"version": "8", "hyperparameters": settings})
    checkpoint.write_version(folder, changed, trained.trainable_state())
    checkpoint.set_champion(folder, "8")
    with pytest.raises(ModelUnavailable, match="input_height_px"):
        checkpoint.load_classifier("medgemma", "cpu")


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(NotFound, match="dinov3_base"):
        checkpoint.load_card("dinov5")


def test_a_version_without_its_card_is_damaged(tmp_path):
    with pytest.raises(ModelUnavailable) as refused:
        checkpoint.read_card(tmp_path)
    assert refused.value.code == "damaged_model"
    assert "model.json is missing" in refused.value.message
