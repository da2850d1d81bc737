"""`deepcntd`: a 3D detector in the style of DeepCNTD, without MoLRE."""

from lib.model_config import ModelConfig


class DeepCNTD(ModelConfig):
    """DeepCNTD-style."""
