"""Print the lowest versions of the direct dependencies that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

EXTRAS = ("dashboard", "holidays", "pydantic", "testing")
"""The extras whose floors are held: what the tests of `make test-lowest` need."""

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
wanted = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
for requirement in wanted:
    if found := re.fullmatch(r"([A-Za-z0-9-]+)(?:\[\w+\])?>=([\w.]+)(?:,.*)?", requirement):
        print(f"{found[1]}=={found[2]}")
