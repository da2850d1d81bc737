"""Random weights under which every tensor of a network matters."""

import torch


def random_weights(state: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """The same keys and shapes with random numbers: scales (norms, LayerScale) around 1, biases, embeddings and matrices around 0."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _random(name, tensor, generator) for name, tensor in state.items()}


def _random(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(tensor.shape, generator=generator)
    if tensor.ndim < 2:
        return 0.2 * noise if name.endswith("bias") else 1 + 0.2 * noise
    if tensor.shape[0] == 1 or "position_embedding" in name:
        return 0.5 * noise
    return noise * tensor[0].numel() ** -0.5
