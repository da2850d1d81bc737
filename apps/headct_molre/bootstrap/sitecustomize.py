"""Makes MONAI Label 0.8.5 importable with today's pydicom, in the server and in every Python process that it starts.

pydicom-seg 0.4.1, which MONAI Label imports at start, looks for `pydicom._storage_sopclass_uids`. pydicom 3 moved its
content to `pydicom.uid`. The folder of this file stands first on PYTHONPATH, so Python runs it at start; it changes
nothing in site-packages, costs nothing where the module is not asked for, and gives way where pydicom still has it.
"""

import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_loader

_MOVED = "pydicom._storage_sopclass_uids"


class _MovedModule(MetaPathFinder, Loader):
    """Finds and fills the module that pydicom 3 moved."""

    def find_spec(self, fullname, path=None, target=None):
        return spec_from_loader(fullname, self) if fullname == _MOVED else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        import pydicom.uid

        vars(module).update({name: value for name, value in vars(pydicom.uid).items() if not name.startswith("__")})


def _run_hidden_sitecustomize():
    """Python runs only the first sitecustomize that it finds; run the one that this file hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if os.path.abspath(entry) != here])
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


sys.meta_path.append(_MovedModule())
_run_hidden_sitecustomize()
