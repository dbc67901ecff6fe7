"""What a stage may read of a study is what DVC tracks for it; anything else is an error that names both."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from rine import params
from rine.tracked import UntrackedError, view

STUDY = params.read(Path(__file__).parents[1] / "params.yaml")


def test_what_is_tracked_is_as_it_is_and_runtime_always():
    seen = view(STUDY, "best", ["lr", "encoders.{study.encoder}", "best.models.{model}"], model="one_class")
    assert seen.lr == STUDY.lr
    assert seen.encoders[STUDY.encoder] == STUDY.encoders[STUDY.encoder]
    assert seen.best.models["one_class"] == "train"
    assert seen.runtime == STUDY.runtime


@pytest.mark.parametrize(
    ("read", "section"),
    [
        (lambda seen: seen.seeds, "seeds"),
        (lambda seen: seen.best.default, "best.default"),
        (lambda seen: seen.best.models["ldm"], "best.models.ldm"),
        (lambda seen: seen.encoders["tiny_32"], "encoders.tiny_32"),
        (lambda seen: seen.encoders.get("tiny_32"), "encoders.tiny_32"),
        (lambda seen: [*seen.encoders], "encoders"),
        (lambda seen: seen.settings, "settings"),
    ],
)
def test_anything_else_is_an_error_that_names_stage_and_section(read, section):
    seen = view(STUDY, "best", ["lr", "encoders.tiny_28", "best.models.one_class"])
    with pytest.raises(UntrackedError, match=rf"the stage best reads {section}, which DVC does not track"):
        read(seen)


def test_a_section_that_the_study_leaves_out_is_none_and_one_tracked_in_all_its_keys_is_whole():
    study = replace(STUDY, ablate=None)
    assert view(study, "report", ["ablate.variants"]).ablate is None
    keys = [f"select.{field.name}" for field in fields(STUDY.select)]
    assert view(STUDY, "select", keys).select is STUDY.select


def test_a_key_that_the_schema_lacks_is_no_section():
    with pytest.raises(AttributeError, match="no key bset"):
        view(STUDY, "best", ["lr"]).bset  # noqa: B018
