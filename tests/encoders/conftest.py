from pathlib import Path

import pytest

from tests.train.toys import sentences


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "en.txt"
    path.write_text("\n".join(sentences(300)) + "\n")
    return path
