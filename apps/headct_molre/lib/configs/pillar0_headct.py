"""`pillar0_headct`: the 3D Atlas network of Pillar0-HeadCT with MoLRE on the volume."""

from lib.model_config import ModelConfig


class Pillar0HeadCT(ModelConfig):
    """Pillar0-HeadCT."""
