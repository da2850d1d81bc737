"""What the cells of the findings table carry besides their text. Strings only: PythonQt turns lists into tuples."""

from __future__ import annotations

import qt

KEY_ROLE = qt.Qt.UserRole + 1
"""The finding's key, or "" for a group of findings."""

GROUP_ROLE = qt.Qt.UserRole + 2
"""The group's title, or "" for a finding."""

SEARCH_ROLE = qt.Qt.UserRole + 3
"""Everything by which the filter box finds the row."""

NAME, PROBABILITY, CALL = 0, 1, 2
COLUMNS = ("Finding", "Probability", "Your call")
CALL_HELP = "+ present (key 1)   ? uncertain (2)   \N{MINUS SIGN} absent (3). The same again, or 0, takes the call back: not assessed."
