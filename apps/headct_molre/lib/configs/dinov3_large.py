"""`dinov3_large`: DINOv3 ViT-L/16 with LoRA and MoLRE."""

from lib.model_config import ModelConfig


class DinoV3Large(ModelConfig):
    """DINOv3-Large."""
