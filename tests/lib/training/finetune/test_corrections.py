"""Corrections follow from the store as it was at one submission, whatever came later."""

import numpy as np
from sqlalchemy import insert

from corrected_studies import of_patients, shifted_site
from headct_molre.data.store.clock import now
from headct_molre.data.store.tables import READING_EVENTS
from headct_molre.findings import finding_keys
from headct_molre.training.finetune.corrections import label_array, read_corrections
from reading_room import reading


def test_later_submissions_and_offers_change_nothing(tmp_path):
    site = shifted_site(tmp_path, 12, random_share=0.5)
    until = site.store.submissions.total()
    before = read_corrections(site.store, until, "majority")
    assert {one.random for one in before} == {True, False}
    site.store.submissions.add(reading(before[0].study, "late", hydrocephalus="uncertain"))
    offer = {"study": before[1].study, "reader": "late", "kind": "offered", "reason": "", "value": int(not before[1].random), "at": now()}
    with site.store.database.writing() as connection:
        connection.execute(insert(READING_EVENTS), [offer])
    assert read_corrections(site.store, until, "majority") == before
    later = read_corrections(site.store, until + 1, "majority")
    assert later[0].readers != before[0].readers
    assert later[1:] == before[1:], "the first offer counts"
    assert read_corrections(site.store, 0, "majority") == []


def test_each_study_is_a_patient_of_its_own_where_none_is_named(tmp_path):
    site = shifted_site(tmp_path, 3)
    of_patients(site, {"study-0001": "a" * 64, "study-0002": "a" * 64})
    first, second, third = (one.patient for one in read_corrections(site.store, 3, "majority"))
    assert second == third != first


def test_labels_keep_what_is_not_known_apart_from_absent(tmp_path):
    site = shifted_site(tmp_path, 2)
    site.store.submissions.add(reading("study-0000", "reader-0", hydrocephalus="uncertain", pneumocephalus="absent", meningioma="present"))
    corrections = read_corrections(site.store, 3, "majority")
    columns = [finding_keys().index(key) for key in ("hydrocephalus", "pneumocephalus", "meningioma", "sinusitis")]
    np.testing.assert_array_equal(label_array(corrections)[0, columns], [np.nan, 0, 1, np.nan])
    np.testing.assert_array_equal(label_array(corrections, "soft")[0, columns], [0.5, 0, 1, np.nan])
