"""`medgemma`: the vision tower of MedGemma (MedSigLIP) with LoRA and MoLRE."""

from lib.model_config import ModelConfig


class MedGemma(ModelConfig):
    """MedGemma."""
