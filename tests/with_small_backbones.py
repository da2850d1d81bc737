"""Runs a program with the reduced backbones in the place of the real ones: `python with_small_backbones.py PROGRAM ARGUMENTS`."""

import runpy
import sys

from small_backbones import use_small_backbones

use_small_backbones()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
