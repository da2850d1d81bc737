"""Model slices in the patient, for straight, tilted, turned and flipped grids."""

import numpy as np
import pytest

from HeadCTFindingsLib.core.errors import NotReadable
from HeadCTFindingsLib.core.frame import Frame, view_centre, view_normal

AXIAL = np.diag([-1.0, 1, 1, 1])  # slice-to-RAS of 3D Slicer's axial view


def rotation(degrees, axis):
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.eye(4)
    first, second = [each for each in range(3) if each != axis]
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def grid(turn=None, flip=(1, 1, 1)):
    """A grid (slice, row, column) of 4 x 1 x 1 mm with rows to the back and columns to the right; turned, and with flipped axes."""
    slice_way, row_way, column_way = flip
    steps = np.zeros((4, 4))
    steps[2, 0], steps[1, 1], steps[0, 2], steps[3, 3] = 4 * slice_way, -row_way, column_way, 1
    middle = steps[:3, :3] @ [14.5, 119.5, 95.5]
    steps[:3, 3] = -middle
    return Frame((np.eye(4) if turn is None else turn) @ steps, (30, 240, 192))


CASES = {
    "straight": grid(),
    "tilted": grid(rotation(17, 0)),
    "oblique": grid(rotation(10, 0) @ rotation(-8, 1) @ rotation(25, 2)),
    "head first down": grid(flip=(-1, 1, 1)),
    "mirrored rows and columns": grid(flip=(1, -1, -1)),
    "all flipped and oblique": grid(rotation(-12, 1), (-1, -1, -1)),
}


@pytest.mark.parametrize("frame", CASES.values(), ids=CASES)
def test_every_slice_is_found_again_from_its_centre(frame):
    for index in range(30):
        centre = frame.centre(index)
        assert frame.index_at(centre) == index
        assert frame.position(centre) == pytest.approx(index)
        assert frame.index_at(centre + 1.9 * frame.normal) == index


@pytest.mark.parametrize("frame", CASES.values(), ids=CASES)
@pytest.mark.parametrize("tilt", [0, 12, -20])
def test_a_jump_to_a_slice_shows_that_slice_whatever_the_tilt_of_the_view(frame, tilt):
    view = rotation(tilt, 0) @ AXIAL
    normal = view_normal(view)
    for index in (0, 7, 29):
        view[:3, 3] = normal * frame.offset(index, normal)
        assert frame.index_of_view(view) == index
        view[:3, 3] += 30 * view[:3, 0] - 20 * view[:3, 1]  # moved in its own plane
        assert frame.index_of_view(view) == index


def test_outside_of_what_the_model_saw_there_is_no_slice():
    frame = grid()
    above = np.add(frame.centre(29), (0, 0, 2.1))
    assert frame.index_at(above) is None
    view = AXIAL.copy()
    view[:3, 3] = above
    assert frame.index_of_view(view) is None
    with pytest.raises(IndexError):
        frame.centre(30)


def test_a_sagittal_view_shows_the_slice_through_its_middle():
    frame = grid()
    sagittal = np.eye(4)
    sagittal[:3, :3] = np.column_stack([[0, -1, 0], [0, 0, 1], [1, 0, 0]])
    sagittal[:3, 3] = frame.centre(11)
    assert frame.index_of_view(sagittal) == 11
    np.testing.assert_array_equal(view_centre(sagittal), frame.centre(11))


@pytest.mark.parametrize("frame", CASES.values(), ids=CASES)
def test_the_reformatted_view_is_upright_and_lies_in_the_slice(frame):
    matrix = frame.slice_to_ras(9)
    x, y, z, origin = matrix[:3].T
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(-1)  # as 3D Slicer's axial view
    assert x @ [-1, 0, 0] > 0.8  # the patient's left is on the right of the screen
    assert y @ [0, 1, 0] > 0.8
    assert z @ [0, 0, 1] > 0.8  # the slider goes up to the vertex, whichever way the model counts
    assert abs(z @ frame.normal) == pytest.approx(1)
    np.testing.assert_allclose(origin, frame.centre(9))
    assert frame.index_of_view(matrix) == 9
    assert frame.angle_degrees(z) == pytest.approx(0, abs=1e-5)


def test_slices_that_stand_up_have_the_vertex_at_the_top():
    for turn in (rotation(90, 0), rotation(90, 1)):
        matrix = grid(turn).slice_to_ras(3)
        assert matrix[:3, 1] @ [0, 0, 1] == pytest.approx(1)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(-1)


def test_the_tilt_of_a_view_is_told_and_a_flip_is_none():
    frame = grid(rotation(17, 0))
    assert frame.angle_degrees([0, 0, 1]) == pytest.approx(17)
    assert frame.angle_degrees([0, 0, -1]) == pytest.approx(17)


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan)])
def test_a_matrix_that_leads_nowhere_is_refused(matrix):
    with pytest.raises(NotReadable):
        Frame(matrix, (3, 4, 5))
