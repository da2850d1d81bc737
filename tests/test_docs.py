"""What the documentation says of the models is what the code says."""

from pathlib import Path

from headct_molre.models.page import TABLES, with_tables

PAGE = Path(__file__).parents[1] / "docs" / "models.md"


def test_the_tables_of_the_models_are_written_from_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "run python -m headct_molre.models.page docs/models.md"
    assert all(f"<!-- table: {name} -->" in page for name in TABLES)
