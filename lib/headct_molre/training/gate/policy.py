"""What a candidate has to show before it may take the champion's place, as configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...schema import Contract

Probability = Annotated[float, Field(gt=0.0, lt=0.5)]
Margin = Annotated[float, Field(gt=0.0, lt=0.5)]


class GatePolicy(Contract):
    """Thresholds of the gate and who decides; the report repeats them.

    decision: "automatic" promotes what the gate says to promote, "person" waits for one in any case. alpha: the chance, at most, that a
    candidate that is no better is promoted; tests are one-sided, intervals reach from the quantile alpha to 1 - alpha. power: the chance
    at which the smallest detectable difference is stated. minimum_studies: fewer held-out corrections are not judged.
    minimum_cases: positives and negatives below which a finding cannot be judged at all. minimum_findings: fewer such findings make no
    mean. common_positives: from as many positives, and negatives, on a finding is judged by itself, too.
    margins: the loss of AUC that is taken for none, in one common finding, in their mean and on the source set; of calibration, the growth
    of each measure that is. margin_reader: how far below others' the AUC against one reader's labels may lie. source_required: hold
    where no source set is there. replicates, seed: of the bootstrap beside DeLong's interval, which decides nothing.
    """

    decision: Literal["automatic", "person"] = "person"
    alpha: Probability = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.8
    minimum_studies: Annotated[int, Field(ge=2)] = 50
    minimum_cases: Annotated[int, Field(ge=2)] = 5
    minimum_findings: Annotated[int, Field(ge=1)] = 3
    common_positives: Annotated[int, Field(ge=2)] = 30
    margin_common: Margin = 0.02
    margin_common_mean: Margin = 0.01
    margin_source: Margin = 0.01
    margin_ece: Margin = 0.02
    margin_brier: Margin = 0.005
    margin_in_the_large: Margin = 0.02
    margin_reader: Margin = 0.05
    source_required: bool = False
    replicates: Annotated[int, Field(ge=0)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0
