"""Moving what a store holds: import and export of labels, backup and restore of everything, and the check of a store."""

from .backup import back_up
from .check import check_store
from .csv_labels import import_csv
from .export import Exported, export_csv, export_json_lines
from .importing import ImportReport, InvalidLabels
from .json_lines import import_json_lines
from .monai_label import import_monai_label
from .restore import restore

__all__ = [
    "Exported",
    "ImportReport",
    "InvalidLabels",
    "back_up",
    "check_store",
    "export_csv",
    "export_json_lines",
    "import_csv",
    "import_json_lines",
    "import_monai_label",
    "restore",
]
