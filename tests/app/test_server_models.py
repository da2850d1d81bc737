"""Every model over HTTP: with weights in the published format it predicts, without it refuses and says what to do."""

import pytest

from headct_molre.data.phantom import write_cohort
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.schema import Prediction
from server_process import Server
from small_backbones import small_backbones, use_small_backbones
from trained_versions import install_backbone, install_version

SMALL = small_backbones()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def http(home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    write_cohort(folder / "studies", 1, seed=4, matrix=128)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADCT_MOLRE_HOME", str(home))
        use_small_backbones(patch.setattr)
        server = Server(folder / "studies", folder / "log.txt", small=True)
        server.start()
        yield server.http
        server.stop()
        server.http.close()


@pytest.mark.parametrize("name", [name for name in backbone_names() if name != "demo"])
def test_a_model_refuses_without_weights_and_predicts_as_soon_as_they_are_there(home, http, name):
    refused = http.post(f"/infer/{name}", params={"image": "phantom-0001", "output": "json"})
    assert refused.status_code == 409
    assert f"headct-molre models --fetch {name}" in refused.text or "not published" in refused.text
    assert http.get("/info/").json()["models"][name]["available"] is False

    install_backbone(home, SMALL[name])
    without_version = http.post(f"/infer/{name}", params={"image": "phantom-0001", "output": "json"})
    assert without_version.status_code == 409
    assert without_version.json()["code"] == "no_trained_version"

    install_version(home, backbone_spec(name))
    answer = http.post(f"/infer/{name}", params={"image": "phantom-0001", "output": "json"})
    assert answer.status_code == 200, answer.text
    prediction = Prediction.model_validate_json(answer.content)
    assert prediction.model.name == name
    assert http.get("/info/").json()["models"][name]["available"] is True
