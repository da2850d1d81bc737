"""What is behind the panels, as plain Python in the main environment, where the server's own reader can be the judge."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "slicer_module" / "HeadCTFindings"))
