"""What `headct-molre serve` decides before the server starts."""

import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.serve import check_address, lacks_studies


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


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_the_server_listens_on_names_that_its_gate_answers_to(host):
    check_address(host, 8000)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2", "::", "[::1]", "example.org", ""])
def test_other_addresses_are_refused(host):
    with pytest.raises(InvalidRequest) as refused:
        check_address(host, 8000)
    assert refused.value.code == "host_not_local"
