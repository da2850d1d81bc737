"""Published weights are loaded whole or not at all, and what is wrong with them is said with the remedy."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from headct_molre.errors import InvalidRequest, ModelUnavailable
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.models.fetch import fetch_backbone
from headct_molre.models.weights import load_backbone
from small_backbones import small_backbones
from trained_versions import install_backbone

SPEC = small_backbones()["demo"].spec


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def file(home):
    return install_backbone(home, small_backbones()["demo"])


def change(path, *, drop=(), **extra):
    state = load_file(path)
    save_file({key: tensor for key, tensor in {**state, **extra}.items() if key not in drop}, path)


def refused(code, **arguments):
    with pytest.raises(ModelUnavailable) as refusal:
        load_backbone(SPEC, **arguments)
    assert refusal.value.code == code
    return refusal.value.message


def test_partial_weights_are_refused_with_the_keys(file):
    change(file, drop=["norm.weight"], surplus=torch.zeros(1))
    assert "Missing: norm.weight. Unexpected: surplus." in refused("weights_do_not_fit")


def test_weights_of_another_width_are_refused_with_the_shapes(file):
    change(file, **{"norm.bias": torch.zeros(5)})
    assert "norm.bias (5,) instead of (192,)" in refused("weights_do_not_fit")


def test_a_checkpoint_of_another_network_is_refused_with_the_known_formats(file):
    save_file({"conv1.weight": torch.zeros(1)}, file)
    message = refused("unknown_weights_format")
    assert "known format (timm)" in message
    assert "conv1.weight" in message


@pytest.mark.parametrize("kept", [0, 5, 1000, 0.5, 0.999])
def test_truncated_weights_are_refused(file, kept):
    content = file.read_bytes()
    file.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert "Remove it and fetch it again" in refused("not_safetensors")


@pytest.mark.parametrize("write", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state))], ids=["torch.save", "pickle"])
def test_a_pickle_is_never_opened_and_the_safe_conversion_is_named(file, write):
    write({"cls_token": [1.0]}, file)
    message = refused("pickled_weights")
    assert "weights_only=True" in message
    assert "without network" in message


def test_the_conversion_that_is_named_makes_what_is_loaded(file, home, monkeypatch):
    import subprocess
    import sys

    state = load_file(file)
    torch.save({"model": state}, home / "released.pth")
    message = refused("pickled_weights", path=home / "released.pth")
    program = message.partition('python -c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", program], cwd=home, check=True)
    network = load_backbone(SPEC, path=home / "released.safetensors")[0].network
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())


def test_safetensors_are_known_by_their_content_and_not_by_their_suffix(file, home):
    file.rename(home / "released.pt")
    load_backbone(SPEC, path=home / "released.pt")


def test_half_precision_is_read_as_float32(file):
    state = load_file(file)
    save_file({key: tensor.bfloat16() for key, tensor in state.items()}, file)
    network = load_backbone(SPEC)[0].network
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(network.norm.weight, state["norm.weight"].bfloat16().float())


def shards(folder, state, missing=False):
    """A checkpoint in two files and their index."""
    folder.mkdir()
    keys = sorted(state)
    parts = {"model-1.safetensors": keys[::2], "model-2.safetensors": keys[1::2]}
    for name, held in parts.items():
        save_file({key: state[key] for key in held}, folder / name)
    index = {"weight_map": {key: name for name, held in parts.items() for key in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    if missing:
        (folder / "model-2.safetensors").unlink()


def test_a_folder_of_shards_is_one_checkpoint(file, home):
    shards(home / "sharded", load_file(file))
    whole, sharded = load_backbone(SPEC)[0], load_backbone(SPEC, path=home / "sharded")[0]
    assert all(torch.equal(tensor, whole.network.state_dict()[key]) for key, tensor in sharded.network.state_dict().items())


def test_a_lost_shard_is_named(file, home):
    shards(home / "sharded", load_file(file), missing=True)
    assert "model-2.safetensors" in refused("weights_incomplete", path=home / "sharded")


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 5}'])
def test_a_damaged_index_is_refused(file, home, content):
    shards(home / "sharded", load_file(file))
    (home / "sharded" / "model.safetensors.index.json").write_text(content)
    assert "Remove it and fetch it again" in refused("weights_incomplete", path=home / "sharded")


def test_an_index_leads_to_no_file_outside_its_folder(file, home):
    (home / "sharded").mkdir()
    index = {"weight_map": dict.fromkeys(load_file(file), f"../backbones/{file.name}")}
    (home / "sharded" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelUnavailable):
        load_backbone(SPEC, path=home / "sharded")


def test_files_of_two_checkpoints_in_one_folder_are_refused(file, home):
    state = load_file(file)
    (home / "two").mkdir()
    save_file(state, home / "two" / "epoch1.safetensors")
    save_file(state, home / "two" / "epoch2.safetensors")
    assert "both hold" in refused("weights_ambiguous", path=home / "two")


def test_a_folder_of_pickles_gets_the_conversion_and_an_empty_one_the_remedy(home):
    (home / "empty").mkdir()
    refused("backbone_missing", path=home / "empty")
    torch.save({}, home / "empty" / "pytorch_model.bin")
    assert "pytorch_model.bin" in refused("pickled_weights", path=home / "empty")


@pytest.mark.parametrize("name", [name for name in backbone_names() if name != "demo"])
def test_without_weights_the_refusal_names_what_to_do(name):
    spec = backbone_spec(name)
    with pytest.raises(ModelUnavailable) as refusal:
        load_backbone(spec)
    assert refusal.value.code == "backbone_missing"
    remedies = (
        [spec.hub_id, spec.licence_url, f"headct-molre models --fetch {name}"] if spec.hub_id else ["not published", f"{name}.safetensors"]
    )
    assert all(remedy in refusal.value.message for remedy in remedies)


@pytest.fixture
def source(home, file, monkeypatch):
    """A file of the user's, and nothing installed or shipped."""
    monkeypatch.setattr("headct_molre.models.locations.SHIPPED", home / "nothing")
    return file.rename(home / "mine.pt")


def test_what_is_installed_was_whole_and_stays_the_same(home, source):
    folder, sha256 = fetch_backbone(SPEC, source)
    assert folder == home / "backbones" / "demo"
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "source.json"]
    assert json.loads((folder / "source.json").read_text())["sha256"] == sha256
    assert load_backbone(SPEC)[1] == sha256
    assert fetch_backbone(SPEC) == (folder, sha256)
    with pytest.raises(InvalidRequest, match="installed already"):
        fetch_backbone(SPEC, source)
    change(folder / "model.safetensors", **{"norm.bias": torch.ones(192)})
    assert "differ from those that were fetched" in refused("damaged_weights")


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-10]), lambda path: torch.save({}, path)])
def test_what_is_not_whole_is_refused_by_its_own_name_and_leaves_nothing(home, source, damage):
    damage(source)
    with pytest.raises(ModelUnavailable, match=r"mine\.pt"):
        fetch_backbone(SPEC, source)
    assert not list((home / "backbones").iterdir())


def test_a_copy_that_is_not_the_source_is_not_installed(home, source, monkeypatch):
    monkeypatch.setattr("shutil.copyfile", lambda file, target: target.write_bytes(file.read_bytes()[:-1]))
    with pytest.raises(ModelUnavailable, match=r"mine\.pt was not copied"):
        fetch_backbone(SPEC, source)
    assert not list((home / "backbones").iterdir())


def test_an_empty_folder_is_not_in_the_way_and_a_full_one_is_named(home, source):
    folder = home / "backbones" / "demo"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match=r"demo is in the way"):
        fetch_backbone(SPEC, source)
    (folder / "notes.txt").unlink()
    assert fetch_backbone(SPEC, source)[0] == folder
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]


def test_a_full_disk_leaves_nothing_behind(home, source, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device", str(home))

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        fetch_backbone(SPEC, source)
    assert not list((home / "backbones").iterdir())
