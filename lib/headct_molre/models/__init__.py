"""Backbones, LoRA, MoLRE, pooling, the classifier and its checkpoints."""
