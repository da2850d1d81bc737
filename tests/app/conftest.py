"""The app's own package `lib` and MONAI Label on the path, as `headct-molre serve` puts them there."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

APP = Path(__file__).parents[2] / "apps" / "headct_molre"

sys.path.insert(0, str(APP))
# Python runs this at the start of the server; here it is too late for that, so it is loaded by hand.
_SPEC = spec_from_file_location("headct_bootstrap", APP / "bootstrap" / "sitecustomize.py")
_SPEC.loader.exec_module(module_from_spec(_SPEC))
