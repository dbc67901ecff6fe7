"""What the schema of a study cannot tell: names that a registry holds, and sections that need each other.

Asked once, before a stage runs. It imports the registries (`RULES`, `PERTURBATIONS`, ...), and with them NumPy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rine.dataset.layouts import LAYOUTS, tables_of
from rine.encoder.facts import remembered
from rine.evaluation.selection import RULES
from rine.params import Params, ParamsError
from rine.paths import Paths
from rine.pixels.degradations import DEGRADATIONS
from rine.pixels.perturbations import PERTURBATIONS

POOLS = ("importance", "mean", "last")  # of `rine.heads.HEADS`
LDM = "ldm"  # the model that is trained on latent diffusion, beside those of the settings


def check(study: Params, origin: str = "params") -> Params:
    """The study itself; raises `ParamsError` with one line for each thing in it that cannot work."""
    lines = dict.fromkeys((*_names(study), *_data(study), *_models(study), *_encoders(study)))
    if lines:
        raise ParamsError("\n".join(f"{origin}: {line}" for line in lines))
    return study


def check_item(study: Params, item: Mapping[str, Any]) -> None:
    """Raise `ValueError` where an item of a stage, as its command names it, is none of the study's."""
    from rine.caching.views import FEATURE_SETS

    choices: dict[str, Collection[str]] = {
        "encoder": study.encoders,
        "feature_set": FEATURE_SETS,
        "setting": study.settings,
        "model": study.best.models,
    }
    for kind, name in item.items():
        if kind in choices and name not in choices[kind]:
            what = kind.replace("_", " ")
            raise ValueError(f"no {what} {name!r} in this study; choose from {', '.join(map(repr, choices[kind]))}")


def missing_files(study: Params) -> Iterator[str]:
    """Files of weights that are not here: no error yet, since `cache` may run on another machine, or be done."""
    for name, config in study.encoders.items():
        if config.file and not config.file.is_file():
            yield f"encoders.{name}.pretrained = {config.pretrained!r}: there is no such file, which `cache` will need"


def _one_of(key: str, value: str, choices: Collection[str]) -> Iterator[str]:
    if value not in choices:
        yield f"{key} = {value!r}; choose from {', '.join(map(repr, choices))}"


def _names(study: Params) -> Iterator[str]:
    """Names of registries, and what their records allow."""
    yield from _one_of("encoder", study.encoder, study.encoders)
    yield from _one_of("select.rule", study.select.rule, [rule.name for rule in RULES.values() if rule.names_a_model])
    pools = {"training.pool": study.training.pool}
    for variant, changed in (study.ablate.variants if study.ablate else {}).items():
        pools |= {f"ablate.variants.{variant}.pool": changed.pool} if changed.pool else {}
    if not set(pools.values()) <= set(POOLS):
        from rine.heads import HEADS  # with PyTorch's seconds, for a head that is none of ours

        for key, pool in pools.items():
            yield from _one_of(key, pool, HEADS)
    if study.ablate and not (study.ablate.variants or study.ablate.leave_out):
        yield "ablate: neither variants nor leave_out; null leaves the stage out"
    if study.ablate and Paths().left_out().name in study.ablate.variants:
        yield f"ablate.variants: {Paths().left_out().name!r} is where `leave_out` writes; rename the variant"
    for kind in study.perturb.kinds if study.perturb else ():
        yield from _one_of("perturb.kinds", kind, PERTURBATIONS)
    sweeps = study.perturb.degrade.strengths if study.perturb and study.perturb.degrade else {}
    for name, strengths in sweeps.items():
        yield from _one_of("perturb.degrade.strengths", name, DEGRADATIONS)
        if name in DEGRADATIONS:
            refused = (DEGRADATIONS[name].refuses(strength) for strength in strengths)
            yield from (f"perturb.degrade.strengths: {reason}" for reason in refused if reason)
    if len(set(study.seeds)) < len(study.seeds):
        yield f"seeds = {[*study.seeds]} names one twice"


def _data(study: Params) -> Iterator[str]:
    """Data sets that are there for what is trained, and classes that they have."""
    datasets = study.prepare.datasets
    unknown = [line for name, each in datasets.items() for line in _layout(name, each.form)]
    yield from unknown
    if unknown:
        return
    for name, each in datasets.items():
        if each.reals:
            yield from _one_of(
                f"prepare.datasets.{name}.reals", each.reals, [other for other in datasets if other != name]
            )
    trained = {table for each in datasets.values() if each.split not in {"val", "test"} for table in tables_of(each)}
    if "train" not in trained:
        yield f"prepare.datasets = {[*datasets]}: none is for training; one of your own says split: train"
    if study.ldm is not None and LDM not in trained:
        yield "ldm: no data set under prepare.datasets has latent-diffusion training pictures; say ldm: null"
    if study.ldm is None and LDM in trained:
        yield "ldm = null: a data set under prepare.datasets is for it (study: ldm), and would be read for nothing"
    of_training = {name: each for name, each in datasets.items() if "train" in tables_of(each)}
    if all(isinstance(each.split, str) and "{category}" not in str(each.tree) for each in of_training.values()):
        # of others, `prepare` finds the classes
        classes = sorted({each.category or name for name, each in of_training.items() if each.split == "train"})
        for setting, wanted in study.settings.items():
            if wrong := sorted(set(wanted) - set(classes)):
                yield f"settings.{setting} names {wrong}; the training data sets are {classes}"


def _layout(name: str, layout: str) -> Iterator[str]:
    yield from _one_of(f"prepare.datasets.{name}.layout", layout, LAYOUTS)


def _models(study: Params) -> Iterator[str]:
    for model, training_set in study.best.models.items():
        if model not in {*study.settings, LDM} or (model == LDM) != (training_set == LDM):
            allowed = f"ldm: ldm, and train for {[*study.settings]}"
            yield f"best.models.{model} = {training_set!r}; allowed: {allowed}"
        elif model == LDM and study.ldm is None:
            yield "best.models.ldm: ldm is null, so that no configuration is chosen for it; drop the model"
    yield from _one_of("best.default", study.best.default, study.best.models)


def _encoders(study: Params) -> Iterator[str]:
    """Entries that give no tokens, and two of one name, which tables would take for one."""
    names = [config.name for config in study.encoders.values()]
    yield from (f"encoders: two are called {name!r}; tables tell them by it" for name in names if names.count(name) > 1)
    for name, config in study.encoders.items():
        try:
            remembered(config)
        except ValueError as error:
            yield f"encoders.{name}: {error}"
