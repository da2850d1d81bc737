"""A version as one file: the same bytes each time, and nothing but a whole version gets in."""

import hashlib
import json
import pickle
import zipfile

import pytest

from headct_molre.errors import HeadCTError, InvalidRequest, ModelUnavailable, NotFound
from headct_molre.models import checkpoint
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.version_file import MANIFEST, export_version, import_version
from headct_molre.models.versions import gate_folder, list_versions, promote, served_version
from small_backbones import small_backbones
from trained_versions import install_backbone, install_version


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """Two sites with the same backbone; the first has the version 7 with a gate report, and is the one that is looked at."""
    for name in ("here", "there"):
        install_backbone(tmp_path / name, small_backbones()["demo"])
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "here"))
    install_version(tmp_path / "here", backbone_spec("demo"), "7")
    gate_folder("demo", "7").mkdir(parents=True)
    (gate_folder("demo", "7") / "gate.json").write_text('{"outcome": "promote"}')
    return tmp_path


@pytest.fixture
def there(homes, monkeypatch):
    """The exported file, seen from the second site."""
    export_version("demo", "7", homes / "demo-7.zip")
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(homes / "there"))
    return homes / "demo-7.zip"


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items() if isinstance(parts, dict) else parts:
            archive.writestr(name, content)
    return path


def rehashed(parts, **changes):
    """The parts with a manifest that fits them, changed at will."""
    manifest = json.loads(parts[MANIFEST])
    names = [name for name in parts if name != MANIFEST]
    entries = {name: {"bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()} for name in names}
    return {**parts, MANIFEST: json.dumps({**manifest, "files": entries, **changes}).encode()}


def test_the_same_version_makes_the_same_file(homes):
    export_version("demo", "7", homes / "a.zip")
    export_version("demo", "7", homes / "b.zip")
    assert (homes / "a.zip").read_bytes() == (homes / "b.zip").read_bytes()
    assert list(parts_of(homes / "a.zip")) == ["manifest.json", "weights.safetensors", "model.json", "gate.json"]
    assert sorted(path.name for path in homes.glob("*.zip*")) == ["a.zip", "b.zip"]


def test_a_version_arrives_bit_by_bit_and_can_be_served(homes, there):
    card = import_version(there)
    assert (card.name, card.version) == ("demo", "7")
    assert served_version("demo") != "7"
    for name in ("weights.safetensors", "model.json"):
        sent, received = (homes / site / "models" / "demo" / "7" / name for site in ("here", "there"))
        assert sent.read_bytes() == received.read_bytes()
    promote("demo", "a", "7", "from another site")
    assert checkpoint.load_classifier("demo")[1] == card


def test_a_report_that_came_with_a_version_decides_nothing_here_but_goes_on_with_it(homes, there):
    import_version(there)
    assert next(entry.gate for entry in list_versions("demo") if entry.version == "7") == "not_judged"
    export_version("demo", "7", homes / "again.zip")
    assert (homes / "again.zip").read_bytes() == there.read_bytes()


def test_a_version_that_is_there_is_never_replaced(there):
    import_version(there)
    with pytest.raises(ModelUnavailable) as refusal:
        import_version(there)
    assert refusal.value.code == "version_exists"


def test_a_version_that_the_package_ships_is_not_replaced_either(there):
    shipped = served_version("demo")
    parts = parts_of(there)
    card = {**json.loads(parts["model.json"]), "version": shipped}
    write(there, rehashed({**parts, "model.json": json.dumps(card).encode()}, version=shipped))
    with pytest.raises(ModelUnavailable) as refusal:
        import_version(there)
    assert refusal.value.code == "version_exists"


def changed_card(parts, **changes):
    return rehashed({**parts, "model.json": json.dumps({**json.loads(parts["model.json"]), **changes}).encode()})


def without(parts, name):
    return {other: part for other, part in parts.items() if other != name}


def other_weights(parts):
    return {**parts, "weights.safetensors": parts["weights.safetensors"][:-1] + b"x"}


def pickled(parts):
    weights = pickle.dumps({"a": 1}, 2) + b" " * 100
    return changed_card({**parts, "weights.safetensors": weights}, weights_sha256=hashlib.sha256(weights).hexdigest())


FORGERIES = {
    "other weights": lambda parts: {**parts, "weights.safetensors": parts["weights.safetensors"][:-1] + b"x"},
    "weights that fit the manifest only": lambda parts: rehashed(
        {**parts, "weights.safetensors": parts["weights.safetensors"][:-1] + b"x"}
    ),
    "a pickle": pickled,
    "no weights": lambda parts: rehashed(without(parts, "weights.safetensors")),
    "no manifest": lambda parts: without(parts, MANIFEST),
    "a manifest that is no JSON": lambda parts: {**parts, MANIFEST: b"{"},
    "a manifest of another schema": lambda parts: rehashed(parts, schema="headct.version/2"),
    "a version with a path": lambda parts: rehashed(parts, version="../../8"),
    "a model with a path": lambda parts: rehashed(parts, name="../demo"),
    "a file with a path": lambda parts: rehashed({**parts, "../../evil": b"x"}),
    "an absolute file": lambda parts: rehashed({**parts, "/tmp/evil": b"x"}),
    "a file more": lambda parts: rehashed({**parts, "setup.py": b"x"}),
    "a file that the manifest does not name": lambda parts: {
        **rehashed({k: v for k, v in parts.items() if k != "gate.json"}),
        "gate.json": b"x",
    },
    "another version in the card": lambda parts: changed_card(parts, version="8"),
    "another model in the card": lambda parts: changed_card(parts, name="dinov3_base"),
    "an unknown backbone": lambda parts: changed_card(parts, backbone="../../weights"),
    "a card with a field more": lambda parts: changed_card(parts, run="rm"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forgeries_are_refused_and_leave_nothing(there, forgery):
    forged = write(there.with_name("forged.zip"), FORGERIES[forgery](parts_of(there)))
    with pytest.raises(InvalidRequest) as refusal:
        import_version(forged)
    assert refusal.value.code == "invalid_version_file"
    assert nothing_arrived(there)


def nothing_arrived(there):
    folder = there.parent / "there" / "models" / "demo"
    return not folder.exists() or not list(folder.iterdir())


def test_an_unknown_model_is_named(there):
    with pytest.raises(NotFound, match="resnet"):
        import_version(write(there, rehashed(parts_of(there), name="resnet")))


def test_compressed_and_repeated_files_are_refused(there):
    parts = parts_of(there)
    with pytest.raises(InvalidRequest):
        import_version(write(there.with_name("c.zip"), parts, zipfile.ZIP_DEFLATED))
    with pytest.warns(UserWarning, match="Duplicate"):
        write(there.with_name("d.zip"), [*parts.items(), ("model.json", b"{}")])
    with pytest.raises(InvalidRequest):
        import_version(there.with_name("d.zip"))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip" * 50, b"PK\x05\x06" + b"\x00" * 18])
def test_what_is_no_zip_is_refused(there, content):
    there.write_bytes(content)
    with pytest.raises(InvalidRequest):
        import_version(there)


def test_no_damage_gets_in(there):
    """Every file is hashed or checked: a changed byte is refused, or it is one that means nothing (times, attributes)."""
    content = there.read_bytes()
    parts = parts_of(there)
    small = without(parts, "weights.safetensors")
    start = content.index(parts["weights.safetensors"])
    end = start + len(parts["weights.safetensors"])
    places = [*range(0, start, 19), start, (start + end) // 2, end - 1, *range(end, len(content), 7)]
    damaged = there.with_name("damaged.zip")
    folder = there.parent / "there" / "models" / "demo" / "7"
    for place in places:
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            import_version(damaged)
        except HeadCTError:
            assert nothing_arrived(there)
            continue
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in small} == without(small, MANIFEST)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    for length in range(0, len(content), max(1, len(content) // 40)):
        damaged.write_bytes(content[:length])
        with pytest.raises(HeadCTError):
            import_version(damaged)


def test_an_export_of_damaged_weights_is_refused_and_leaves_no_file(homes):
    path = homes / "here" / "models" / "demo" / "7" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelUnavailable):
        export_version("demo", "7", homes / "a.zip")
    assert not list(homes.glob("*a.zip*"))
