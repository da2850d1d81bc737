"""Settings come from defaults, a file and the command line, and a wrong one is named."""

import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.training.config import load_config


def test_the_defaults_are_the_protocol_of_the_paper():
    config = load_config("dinov3_base")
    assert (config.focal_gamma, config.head_rate, config.adapter_rate) == (2.0, 1e-3, 1e-4)
    assert (config.lora_rank, config.lora_alpha, config.molre_experts, config.molre_rank, config.molre_router_width) == (8, 16, 6, 8, 256)
    assert (config.min_epochs, config.patience) == (20, 5)


def test_the_command_line_wins_over_the_file(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("molre = false\nseed = 3\n[augmentation]\nrotation_degrees = 5\nnoise = 0.0\n")
    config = load_config("demo", file, ["seed=4", "augmentation.noise=0.02", "features=cached", "lora=false"])
    assert (config.molre, config.seed, config.features, config.lora) == (False, 4, "cached", False)
    assert (config.augmentation.rotation_degrees, config.augmentation.noise) == (5, 0.02)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["head_rat=0.1"], "head_rat"),
        (["head_rate=fast"], "head_rate"),
        (["head_rate=0"], "head_rate"),
        (["head_rate=nan"], "head_rate"),
        (["augmentation.rotation_degrees=90"], "augmentation.rotation_degrees"),
        (["seed=2", "seed.x=1"], "not a group"),
        (["seed"], "name=value"),
        (["max_epochs=10"], "less than min_epochs"),
        (["features=cached"], "needs lora = false"),
        (["pooling=mean"], "gated"),
    ],
)
def test_a_wrong_setting_is_named(settings, said):
    with pytest.raises(InvalidRequest, match=said):
        load_config("demo", None, settings)


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(InvalidRequest, match="dinov3_large"):
        load_config("dinov4")


def test_a_network_that_is_trained_itself_has_no_cached_features():
    with pytest.raises(InvalidRequest, match="pillar0_headct"):
        load_config("pillar0_headct", None, ["features=cached", "lora=false"])


def test_a_file_that_is_not_toml(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("seed: 3\n")
    with pytest.raises(InvalidRequest, match="not TOML"):
        load_config("demo", file)


def test_the_hash_tells_settings_apart():
    assert load_config("demo").sha256() == load_config("demo", None, ["seed=0"]).sha256()
    assert load_config("demo").sha256() != load_config("demo", None, ["seed=1"]).sha256()


def test_switches_reach_the_classifier():
    assert load_config("demo", None, ["molre=false"]).adapters["experts"] == 0
    assert load_config("demo", None, ["lora=false"]).adapters["lora_rank"] == 0
