"""`dinov3_base`: DINOv3 ViT-B/16 with LoRA and MoLRE."""

from lib.model_config import ModelConfig


class DinoV3Base(ModelConfig):
    """DINOv3-Base."""
