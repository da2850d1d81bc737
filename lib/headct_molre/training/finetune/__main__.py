"""`python -m headct_molre.training.finetune FOLDER`: runs the task in a folder, or takes it up."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from .worker import work

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m headct_molre.training.finetune FOLDER")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sys.exit(work(Path(sys.argv[1])))
