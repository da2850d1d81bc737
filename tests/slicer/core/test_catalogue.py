"""The taxonomy in the module: 75 findings, and which of them are one thing seen twice."""

import pytest

from headct_molre.findings import CATEGORIES, finding_keys
from HeadCTFindingsLib.core.catalogue import KIND_OF, SIGN_OF, Catalogue
from HeadCTFindingsLib.core.errors import NotReadable


def test_it_holds_what_the_server_sends(catalogue):
    assert catalogue.keys == finding_keys()
    assert len(catalogue) == 75
    assert catalogue.categories == CATEGORIES
    finding = catalogue["subdural_hematoma"]
    assert (finding.name, finding.category, finding.acuity) == ("Subdural hematoma", "Hemorrhage", "critical")
    assert "SDH" in finding.synonyms
    assert finding.windows == ("subdural", "brain")


def test_families_name_findings_of_the_taxonomy(catalogue):
    assert {*KIND_OF, *KIND_OF.values(), *SIGN_OF, *SIGN_OF.values()} <= set(catalogue.keys)
    assert not KIND_OF.keys() & SIGN_OF.keys()


def test_a_bleed_of_the_basal_ganglia_is_an_intraparenchymal_one(catalogue):
    assert catalogue.implied("basal_ganglia_hemorrhage") == ("intraparenchymal_hemorrhage",)
    assert "basal_ganglia_hemorrhage" in catalogue.children("intraparenchymal_hemorrhage")
    assert catalogue.children("sinusitis") == ()


def test_a_sign_is_shown_below_but_implies_nothing(catalogue):
    assert catalogue.ancestors("midline_shift") == ("mass_effect",)
    assert catalogue.implied("midline_shift") == ()  # after a loss of volume there is one without mass effect


def test_a_bleed_into_an_infarct_is_an_alarm_of_its_own(catalogue):
    assert catalogue.ancestors("hemorrhagic_transformation") == ()


def test_the_tooltip_has_definition_synonyms_and_side(catalogue):
    text = catalogue["subdural_hematoma"].tooltip
    assert "Crescentic" in text
    assert "Also: SDH" in text
    assert "side" in text
    assert "side" not in catalogue["hydrocephalus"].tooltip


def test_a_key_of_a_later_server_is_shown_as_it_is(catalogue):
    assert "new_finding" not in catalogue
    assert catalogue.name("new_finding") == "new_finding"


def test_a_parent_that_the_server_does_not_know_is_left_out(catalogue):
    entry = {"key": "midline_shift", "display_name": "Shift", "category": "Structural", "definition": "d", "acuity": "critical"}
    assert Catalogue.from_json([entry])["midline_shift"].parent is None


@pytest.mark.parametrize("document", [[], {}, None, [3], [{"key": "x"}], [{"key": ""}]])
def test_another_document_is_refused(document):
    with pytest.raises(NotReadable):
        Catalogue.from_json(document)
