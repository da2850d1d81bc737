"""`medimageinsight`: the DaViT of MedImageInsight with LoRA and MoLRE."""

from lib.model_config import ModelConfig


class MedImageInsight(ModelConfig):
    """MedImageInsight."""
