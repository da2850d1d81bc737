"""What `headct-molre serve` decides before the server starts."""

import pytest

from headct_molre.serve import lacks_studies


@pytest.mark.parametrize(
    ("names", "lacks"),
    [
        ([], True),
        ([".headct"], True),
        (["phantom-0001.nii.gz", ".partial-7-phantom-0002.nii.gz"], True),  # killed while it made them
        (["phantom-0001.nii.gz", "cohort.csv"], False),
        (["patient.nii.gz"], False),
        (["phantom-0001.nii.gz", "patient.nii.gz"], False),
        (["phantom-of-a-user.nii.gz"], False),
    ],
)
def test_demo_studies_go_into_an_empty_folder_or_complete_a_start_that_was_killed(tmp_path, names, lacks):
    for name in names:
        (tmp_path / name).touch()
    assert lacks_studies(tmp_path) == lacks
