"""A params file is read whole or refused with the key, the value and what is allowed."""

from __future__ import annotations

import copy
from difflib import unified_diff
from pathlib import Path

import pytest
import yaml

from rine.checks import check
from rine.params import Params, ParamsError, parse, read

ROOT = Path(__file__).parents[1]
OWN = {"real": ["real/*"], "fake": ["fake/*"]}
SAMPLE = yaml.safe_load((ROOT / "params.yaml").read_text())


def changed(dotted: str, value):
    study = copy.deepcopy(SAMPLE)
    *path, last = dotted.split(".")
    here = study
    for key in path:
        here = here[key]
    here[last] = value
    return study


def checked(study: dict) -> Params:
    """As a command reads a study, before anything runs."""
    return check(parse(study))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("grid.foo", 1, "params: grid.foo = 1: unknown key; allowed here: epochs, xi, q, proj_dim"),
        ("encoders.tiny_28.modle", 1, "allowed here: name, model, pretrained, seed"),
        ("encoders.tiny_28.modle", 1, "; did you mean 'model'?"),
        ("lr", "fast", "params: lr = 'fast': Input should be a valid number"),
        ("lr", True, "params: lr = True: Input should be a number, not true or false"),
        ("lr", 0, "params: lr = 0: Input should be greater than 0"),
        ("lr", float("nan"), "params: lr = nan: Input should be a finite number"),
        ("grid.q", [0], "params: grid.q.0 = 0: Input should be greater than or equal to 1"),
        ("grid.q", [], "grid.q = []"),
        ("grid.epochs", 1.5, "grid.epochs = 1.5"),
        ("select.rule", "best", "select.rule = 'best'; choose from 'paper', 'leave_one_generator_out'"),
        ("training.dropout", 1.0, "training.dropout = 1.0"),
        ("dataset_size.fractions", [0.2, 1.2], "dataset_size.fractions.1 = 1.2"),
        ("runtime.device", "tpu", "runtime.device = 'tpu'"),
        ("runtime.cluster", "head", "params: runtime.cluster = 'head': allowed: null, local, auto or HOST:PORT"),
        ("runtime.device", "cuda0", "params: runtime.device = 'cuda0': allowed: auto, cpu, mps, cuda or cuda:1"),
        ("encoders.tiny_28.blocks", "last", "blocks = 'last': allowed: all, or numbers from 1, [6, 12, 24]"),
        ("encoder", "vit", "encoder = 'vit'; choose from 'tiny_28', 'tiny_32'"),
        ("seeds", [0, 0], "seeds = [0, 0] names one twice"),
        ("best.default", "three_class", "best.default = 'three_class'"),
        ("best.models", {"one_class": "ldm"}, "best.models.one_class = 'ldm'"),
        ("augmentation.blur_sigma", [3, 0], "blur_sigma is [lowest, highest]"),
        ("prepare.datasets.mine", {"real": ["a/*"]}, "needs split: train | val | test and real: [globs] or fake"),
        ("prepare.datasets.mine", {"layout": "forensynths", "split": "test"}, "real, fake and split belong to globs"),
        ("grid.xi", 0.1, "grid.xi = 0.1: a list is needed: [0.1]"),
        ("prepare.datasets", {"mine": OWN | {"split": "test", "real": [3]}}, "real.0 = 3: text is needed"),
        ("training", 5, "training = 5: a table is needed: {key: value}"),
        ("prepare.datasets", {"my gan": OWN | {"split": "test"}}, "names are of letters, digits, _ and -"),
        ("prepare.datasets", {"a.b": {"layout": "forensynths"}}, "a.b"),
        ("prepare.datasets", {}, "prepare.datasets = []: none is for training"),
        ("prepare.datasets.mine", {"layout": "folders"}, "prepare.datasets.mine.layout = 'folders'; choose from 'fore"),
        # only a training set trains
        ("prepare.datasets", {"synthbuster": {"layout": "synthbuster"}}, "none is for training"),
        ("prepare.datasets", {"a": OWN | {"split": "val"}}, "none is for training"),
        ("prepare.datasets", {"a": OWN | {"split": "train"}}, "ldm: no data set under prepare.datasets has latent-"),
        ("ldm", None, "ldm = null: a data set under prepare.datasets is for it"),
        ("ldm", None, "best.models.ldm: ldm is null, so that no configuration is chosen for it"),
        ("settings", {"one_class": []}, "best.models.two_class = 'train'; allowed: ldm: ldm, and train for"),
        # registries
        ("select.rule", "mean", "select.rule = 'mean'; choose from 'paper', 'leave_one_generator_out'"),
        ("ablate.variants", {"v": {"pool": "max"}}, "ablate.variants.v.pool = 'max'; choose from 'importance', 'mean'"),
        ("training.pool", "max", "training.pool = 'max'; choose from 'importance', 'mean', 'last'"),
        ("ablate.variants", {"v": {"dropout": 0}}, "ablate.variants.v.dropout = 0: unknown key; allowed here: xi"),
        ("perturb.kinds", ["swirl"], "perturb.kinds = 'swirl'; choose from 'blur', 'crop'"),
        (
            "perturb.degrade.strengths",
            {"swirl": [1]},
            "perturb.degrade.strengths = 'swirl'; choose from 'jpeg', 'webp'",
        ),
        ("perturb.degrade.strengths", {"jpeg": [900]}, "'jpeg': JPEG quality = 900.0; allowed: 1 to 100"),
        ("perturb.degrade.strengths", {"crop": [0.1, 1]}, "'crop': fraction of each side cut off = 1.0; allowed: 0 to"),
        (
            "encoders.tiny_28.model",
            "ViT-L/14",
            "encoders.tiny_28: open_clip has no model 'ViT-L/14'; did you mean 'ViT-L-14'?",
        ),
        ("encoders.tiny_28.model", "VGG", "encoders.tiny_28: open_clip has no model 'VGG'"),
        # keys of earlier versions
        ("crops", {"size": 336}, "crops is no key any more: pictures are cropped to the size that the encoder takes"),
        ("cache.items", {}, "cache.items is no key any more: the feature sets follow from encoder and encoders"),
        ("cache.seed", 0, "cache.seed is no key any more: it is augmentation.seed now"),
        ("prepare.align", None, "prepare.align is no key any more: it is cache.align now"),
        ("validate.seed", 0, "validate.seed is no key any more: it is validate.tsne_seed now"),
    ],
)
def test_what_is_wrong_is_named(key, value, said):
    with pytest.raises(ParamsError) as error:
        checked(changed(key, value))
    assert said in str(error.value)
    assert str(error.value).count(f"{key} = ") < 2


def test_a_missing_key_is_named():
    study = copy.deepcopy(SAMPLE)
    del study["grid"]["xi"]
    with pytest.raises(ParamsError, match=r"grid\.xi: missing"):
        checked(study)


def test_every_slip_is_named_at_once():
    study = changed("grid.foo", 1)
    study["lr"] = -1
    with pytest.raises(ParamsError) as error:
        checked(study)
    assert len(str(error.value).splitlines()) == 2
    study = changed("perturb.kinds", ["swirl", "blur"])
    study["select"]["rule"] = "best"
    with pytest.raises(ParamsError) as error:
        checked(study)
    assert len(str(error.value).splitlines()) == 2


def test_a_slip_within_a_list_is_not_also_that_it_is_no_word():
    study = changed("encoders.tiny_28.blocks", [0])
    with pytest.raises(ParamsError) as error:
        checked(study)
    assert str(error.value).endswith("encoders.tiny_28.blocks.0 = 0: Input should be greater than or equal to 1")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("section", ["epochs", "dataset_size", "ablate", "perturb"])
def test_a_study_can_do_without_a_section(section):
    assert getattr(checked(changed(section, None)), section) is None


def test_dvc_writes_small_numbers_as_strings():
    # `dvc exp run -S lr=1e-5` writes 1e-05, a string in YAML 1.1
    assert yaml.safe_load("lr: 1e-05")["lr"] == "1e-05"
    assert parse(changed("lr", "1e-05")).lr == 1e-5


def test_a_study_cannot_be_changed():
    study = parse(SAMPLE)
    with pytest.raises(AttributeError):
        study.lr = 1.0  # type: ignore[misc]


def test_no_file_and_no_yaml(tmp_path):
    with pytest.raises(ParamsError, match="no such params file"):
        read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("lr: [")
    with pytest.raises(ParamsError, match="is not YAML"):
        read(tmp_path / "params.yaml")


def test_a_setting_names_training_data_sets_that_there_are():
    study = yaml.safe_load((ROOT / "pipeline" / "own.yaml").read_text())
    assert checked(study).settings == {"mine": ("first", "second")}
    study["settings"] = {"mine": ["first", "secnod"]}
    with pytest.raises(ParamsError, match=r"settings.mine names \['secnod'\]; the training data sets are"):
        checked(study)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("family", "perceptual loss", "= .*folders"),
        ("released", "2024-13", "= '2024-13': allowed: a date.*"),
        ("split", "trian", r"= 'trian': .*; did you mean 'train'\?"),
    ],
)
def test_a_value_that_may_be_of_two_kinds_has_one_line(key: str, value: str, said: str) -> None:
    study = changed("prepare.datasets.mine", OWN | {"split": "test"} | {key: value})
    with pytest.raises(ParamsError, match=rf"\Aparams: prepare\.datasets\.mine\.{key} {said}\Z"):
        parse(study)


@pytest.mark.parametrize(
    "file", ["params.yaml", *sorted(f"pipeline/{p.name}" for p in (ROOT / "pipeline").glob("*.yaml"))]
)
def test_an_experiment_changes_one_line(file: str, tmp_path: Path) -> None:
    """`dvc exp run -S` writes the whole file again: in its own form, all other lines stay as they are."""
    from dvc.utils.hydra import apply_overrides

    before = (ROOT / file).read_text()
    (tmp_path / "params.yaml").write_text(before)
    apply_overrides(tmp_path / "params.yaml", ["lr=0.123"])
    after = (tmp_path / "params.yaml").read_text()
    changed = [line for line in unified_diff(before.splitlines(), after.splitlines(), n=0) if line[0] == "+"]
    assert changed[1:] == ["+lr: 0.123"]
