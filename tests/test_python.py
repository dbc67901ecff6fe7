"""What docs/python.md says of Python works as it stands there; importing `rine` costs nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import rine
from rine import encode, load_encoder
from rine.encoder.config import EncoderConfig, TowerConfig
from tiny_model import picture

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
TOWER = TowerConfig(image_size=32, patch_size=16, width=32, layers=2, head_width=16)
THEIRS = 'model="ViT-B-32", pretrained="openai"'  # of the page: 350 MB, so that here it is a tower without a download


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Real pictures and darker synthetic ones."""
    monkeypatch.chdir(tmp_path)
    for number, split in enumerate(("train", "test")):
        for label, kind in enumerate(("real", "fake")):
            (tmp_path / split / kind).mkdir(parents=True)
            for i in range(12):
                pixels = picture(1000 * number + 100 * label + i, 40, 40) // (1 + label)
                Image.fromarray(pixels.astype("uint8")).save(tmp_path / split / kind / f"{i:02d}.png")
    return tmp_path


def section(title: str) -> str:
    """The Python of a section of the page."""
    [text] = re.findall(rf"## {title}\n.*?```python\n(.*?)```", PAGE, re.DOTALL)
    return text


def test_encode_train_evaluate_as_the_page_says(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"TOWER": TOWER}
    for title in ("Encode a folder", "Train one head", "Evaluate it"):
        code = section(title)
        assert len(code.splitlines()) <= 10
        exec(code.replace(THEIRS, 'model=TOWER, pretrained="random"'), names)
    learnt, scores = names["learnt"], names["scores"]
    assert isinstance(learnt, rine.Features)
    assert learnt.tokens().shape == (24, 2, 32)
    assert isinstance(scores, rine.ImageScores)
    assert scores.logits.shape == (1, 24)
    printed = capsys.readouterr().out
    assert re.search(r"^average_precision 0\.\d+|^average_precision 1\.0", printed, re.MULTILINE)
    assert "calibrated_accuracy not calibrated" in printed


def test_a_file_that_is_no_picture_and_an_empty_folder_are_named(folders: Path) -> None:
    encoder = load_encoder(EncoderConfig(name="tiny", model=TOWER, pretrained="random", seed=0), "cpu")
    (folders / "test" / "real" / "00.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"move them away:\n  .*00\.png: "):
        encode(encoder, real="test/real")
    (folders / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="none holds no pictures"):
        encode(encoder, fake="none")


def test_the_page_names_what_is_public() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.split("## ")[0]))
    assert named - {"rine"} == set(rine.__all__) - {"__version__"}
    for name in rine.__all__:
        assert getattr(rine, name) is not None


def test_importing_rine_imports_nothing_heavy() -> None:
    code = "import sys, rine; sys.exit(bool({'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
