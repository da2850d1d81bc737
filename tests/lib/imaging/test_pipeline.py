"""The four stages in one call: what the command line, the server and the training all go through."""

from __future__ import annotations

import numpy as np

from headct_molre.data.phantom import make_phantom
from headct_molre.imaging.align import Alignment
from headct_molre.imaging.pipeline import prepare_volume, with_alignment
from headct_molre.schema import Quality
from moving import moved


def test_a_head_goes_through_all_four_stages(head):
    study = prepare_volume(head)
    assert study.quality.accepted
    assert study.quality.facts["alignment_method"] == "symmetry"
    assert list(study.timing_ms) == ["quality", "align", "prepare"]
    assert study.prepared.hu.shape[1:] == (256, 256)


def test_a_head_that_could_not_be_aligned_is_warned_of():
    gate = Quality(accepted=True, warnings=[], facts={"tilt_degrees": 0.0})
    (warning,) = with_alignment(gate, Alignment(np.eye(4), 0.1, "scanner frame")).warnings
    assert (warning.code, warning.value) == ("not_aligned", 0.1)
    assert not with_alignment(gate, Alignment(np.eye(4), 0.9, "symmetry")).warnings


def test_a_head_that_lies_otherwise_than_its_headers_say_is_warned_of():
    upright = make_phantom(10**12 + 1).volume
    upside_down, _ = moved(upright, 0, 10.0, lying="upside down")
    study = prepare_volume(upside_down)
    (warning,) = (warning for warning in study.quality.warnings if warning.code == "head_rotated")
    assert warning.value > 150
    assert "left and right" in warning.message
    assert study.quality.facts["head_rotation_degrees"] == warning.value
    assert not [warning for warning in prepare_volume(upright).quality.warnings if warning.code == "head_rotated"]
