"""`demo`: a small model that was trained on synthetic phantoms and ships with the repository."""

from lib.model_config import ModelConfig


class Demo(ModelConfig):
    """The demo model."""
