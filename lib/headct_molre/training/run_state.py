"""Where a run stands, as one file that is replaced whole: a kill at any moment loses the steps since the last one and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..errors import ModelUnavailable
from ..output import flush, replacing


@dataclass
class Progress:
    """Counters of a run: the epoch and the step in it that come next, sums over the epoch so far, the best epoch, a row for each epoch."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    studies: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    best_metric: float | None = None
    best_epoch: int = -1
    finished: bool = False
    history: list[dict[str, float | int | None]] = field(default_factory=list)


class RunState:
    """What learns, the optimiser's moments, the best state so far and the counters."""

    def __init__(self, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        self.parameters, self.optimizer = parameters, optimizer
        self.best: dict[str, torch.Tensor] = {}
        self.progress = Progress()

    def keep_as_best(self) -> None:
        """Remember the present state."""
        self.best = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def restore_best(self) -> None:
        """Go back to the state that was remembered."""
        with torch.no_grad():
            for name, tensor in self.best.items():
                self.parameters[name].copy_(tensor)

    def save(self, path: Path) -> None:
        """Write everything to one file, which appears whole or not at all."""
        tensors: dict[str, torch.Tensor] = {f"now.{name}": parameter for name, parameter in self.parameters.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with replacing(path) as partial:
            save_file(flat, partial, metadata={"progress": json.dumps(asdict(self.progress))})
            flush(partial)

    def load(self, path: Path) -> None:
        """Continue from a file. Raises ModelUnavailable where it does not belong to these parameters."""
        try:
            with safe_open(path, "pt") as file:
                progress: dict[str, Any] = json.loads(file.metadata()["progress"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safetensors has no other way)
        except SafetensorError as error:
            raise ModelUnavailable("damaged_run", f"{path} cannot be read ({error}). Remove it to start anew.") from None
        now = {name.removeprefix("now."): tensor for name, tensor in tensors.items() if name.startswith("now.")}
        if {name: tuple(tensor.shape) for name, tensor in now.items()} != {n: tuple(p.shape) for n, p in self.parameters.items()}:
            raise ModelUnavailable("damaged_run", f"{path} holds other parameters than this run trains. Choose another folder.")
        with torch.no_grad():
            for name, tensor in now.items():
                self.parameters[name].copy_(tensor)
        device = next(iter(self.parameters.values())).device
        self.best = {name.removeprefix("best."): tensor.to(device) for name, tensor in tensors.items() if name.startswith("best.")}
        for stored, tensor in tensors.items():
            if stored.startswith("optimizer."):
                _, key, name = stored.split(".", 2)
                # The step count stays on the CPU, where AdamW keeps it.
                self.optimizer.state[self.parameters[name]][key] = tensor if key == "step" else tensor.to(device)
        self.progress = Progress(**progress)
