"""`torchrun --nproc_per_node N -m headct_molre.training MANIFEST --model NAME --out RUN`."""

from __future__ import annotations

import argparse
import sys

from ..cli import guarded
from ..cli_train import add_arguments, train


def main() -> int:
    """The training command without the other ones, as torchrun starts it."""
    parser = argparse.ArgumentParser(prog="python -m headct_molre.training", description="Train a model on a cohort.")
    add_arguments(parser)
    parser.set_defaults(run=train)
    return guarded(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
