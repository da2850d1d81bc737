"""The strength of the anchor is chosen on corrections that the fit did not see."""

import numpy as np
import torch

from headct_molre.models.checkpoint import load_classifier
from headct_molre.training.finetune import Examples, FineTuneConfig, choose_strength
from headct_molre.training.finetune.head import FeatureClassifier
from headct_molre.training.finetune.strength import folds_of


def test_all_studies_of_a_patient_are_in_one_fold():
    patients = np.repeat(np.arange(40), 3)
    folds = folds_of(patients, 4, seed=0)
    assert all(len(set(folds[patients == patient])) == 1 for patient in range(40))
    assert np.bincount(folds).tolist() == [30] * 4
    assert (folds == folds_of(patients, 4, seed=0)).all()


def test_labels_without_sense_are_held_off_and_sensible_ones_are_let_in():
    demo = load_classifier("demo")[0]
    random = torch.Generator().manual_seed(0)
    features = torch.randn(60, 3, 192, generator=random)
    nothing = (torch.rand(60, 75, generator=random) < 0.5).float()
    shown = Examples(features, torch.ones(60, 3, dtype=torch.bool), nothing)
    # Labels that follow from the features, but not as the released version has it.
    learnable = shown.labelled((torch.from_numpy(FeatureClassifier(demo).logits(shown)) + 3 * features.mean(1)[:, :75] > 0).float())
    config = FineTuneConfig(strengths=(1.0, 1000.0), folds=2, choice_epochs=8, batch_studies=8)
    chosen = {name: choose_strength(demo, one, None, np.arange(60), config) for name, one in (("noise", shown), ("signal", learnable))}
    assert chosen["signal"].strength == 1.0
    assert chosen["signal"].losses[1.0] < chosen["signal"].losses[1000.0]
    assert chosen["noise"].losses[1000.0] / chosen["noise"].losses[1.0] < chosen["signal"].losses[1000.0] / chosen["signal"].losses[1.0]
    assert chosen["noise"].out_of_fold.shape == (60, 75)
