"""The picture of a study: every model slice as the model reads it, and for a refused study the reason and what was scanned."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from headct_molre.errors import StudyRefused
from headct_molre.imaging.montage import GAP_PX, MARGIN_PX, MOST_COLUMNS, prepared_picture, refused_picture
from headct_molre.imaging.pipeline import prepare_volume
from headct_molre.imaging.prepare import WINDOWS_HU
from headct_molre.imaging.volume import Volume
from headct_molre.schema import Warning_


@pytest.fixture(scope="module")
def study():
    from headct_molre.data.phantom import make_phantom

    return prepare_volume(make_phantom(11, 128).volume)


def pixels(png):
    """(H, W) red values 0..255."""
    return np.round(imread(io.BytesIO(png), format="png")[..., 0] * 255).astype(int)


def test_every_slice_is_there_in_every_window_pixel_by_pixel(study):
    hu = study.prepared.hu.copy()
    hu[:, :30], hu[:, 226:], hu[:, :, :40], hu[:, :, 216:] = -1000, -1000, -1000, -1000
    hu[:, 30:226, 40:216] = np.maximum(hu[:, 30:226, 40:216], -299)  # so that the drawn field is known
    hu[:, 90, 70:186] = np.random.default_rng(0).uniform(-100, 300, (len(hu), 116))  # so that each slice is known again
    picture = pixels(prepared_picture(replace(study.prepared, hu=hu), study.quality))
    width = 176 + 10
    columns = -(-len(hu) // -(-len(hu) // MOST_COLUMNS))
    drawn = []
    for low, high in WINDOWS_HU:
        for number, image in enumerate(hu):
            grey = np.clip((image - low) / (high - low), 0, 1)
            expected = grey[90, 70:186] * 255
            x = MARGIN_PX + number % columns * (width + GAP_PX) + 70 - 35
            (found,) = np.flatnonzero((np.abs(picture[:, x : x + 116] - expected) <= 2).all(axis=1))
            drawn.append((found, x))
    assert drawn == sorted(drawn), "slices rise from left to right and from top to bottom, window after window"
    assert len(set(drawn)) == 3 * len(hu)


def test_the_patients_right_is_on_the_left(study):
    """Column 0 of the model grid is the patient's right."""
    hu = np.full_like(study.prepared.hu, -1000)
    hu[:, 60:190, 60:190] = 40
    hu[:, 100:140, 70:90] = 1000  # dense, on the right
    picture = pixels(prepared_picture(replace(study.prepared, hu=hu), study.quality))
    tile = picture[-300:-100, MARGIN_PX : MARGIN_PX + 140]  # the last row of the bone window
    assert (tile > 160)[:, :60].sum() > 10 * max((tile > 160)[:, 80:120].sum(), 1)


def test_the_report_grows_with_the_gates_remarks(study):
    warnings = [Warning_(code="gantry_tilt", message="The gantry was tilted.", value=18.5) for _ in range(12)]
    plain = pixels(prepared_picture(study.prepared, study.quality))
    remarked = pixels(prepared_picture(study.prepared, study.quality.model_copy(update={"warnings": warnings})))
    assert remarked.shape[0] > plain.shape[0] + 200
    assert remarked.shape[1] == plain.shape[1]


@pytest.mark.parametrize("shape", [(8, 64, 64), (300, 40, 30), (1, 512, 512), (9, 16, 700)])
@pytest.mark.parametrize("values", ["noise", "constant"])
def test_any_refused_volume_is_drawn_in_a_sensible_size(shape, values):
    hu = np.random.default_rng(0).normal(0, 500, shape) if values == "noise" else np.full(shape, -1000.0)
    volume = Volume(hu.astype(np.float32), np.array([[0, 0, -0.9, 0], [0.1, -0.5, 0, 0], [2.5, 0, 0, 0], [0, 0, 0, 1.0]]))
    png = refused_picture(volume, StudyRefused("not_head", "This is not a CT of the head: $HOME _is_ not \\rendered. " * 8))
    assert len(png) < 5_000_000
    height, width = pixels(png).shape
    assert 1000 <= width <= 3000
    assert 300 <= height <= 3000


def test_a_picture_says_nothing_of_where_it_came_from(study):
    png = prepared_picture(study.prepared, study.quality)
    chunks, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        chunks.append((png[at + 4 : at + 8].decode(), png[at + 8 : at + 8 + length]))
        at += 12 + length
    texts = [data for name, data in chunks if name in ("tEXt", "iTXt", "zTXt", "eXIf", "tIME")]
    assert len(texts) == 1
    assert texts[0].startswith(b"Software\0headct-molre")
    assert len(png) < 5_000_000
