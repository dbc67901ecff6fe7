"""The model card beside every checkpoint: what it was trained on, how it was chosen, what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ARITHMETIC = {
    "portable": "portable: its scores have the same bits on every x86-64 processor with AVX2, if asked for so",
    "fast": "fast: the last digits of its scores depend on the machine",
}
_WHAT = "the CLS tokens of all blocks"  # RINE's own
_LIMITS = (
    "A logit above 0 is the paper's decision; on pictures unlike those it was trained on, that means little. "
    "Use the calibrated verdict.",
    "Generators that it has not seen, pictures that were edited in part, screenshots, strong compression and "
    "re-sizing can turn a verdict round in either direction.",
    "It judges crops of {crop} pixels at native resolution by default; what lies outside of them is not seen.",
    "A verdict is evidence, not proof. Do not let it decide alone about people.",
)


def model_card(meta: Mapping[str, Any]) -> str:
    """Markdown for a checkpoint's `meta`, whose keys `rine.models.checkpoint` names."""
    parts = [
        f"# {meta['name']}",
        "A detector of synthetic images after RINE (Koutlis and Papadopoulos, ECCV 2024): a head on "
        f"{_WHAT if _tokens(meta['encoder']) is None else 'tokens'} of a frozen image encoder.",
    ]
    if meta.get("profile") == "sample":
        parts.append(f"**Not for use.** {meta.get('about') or 'A model of the sample study.'}")
    parts += ["## Model", _table(_model(meta)), "## Trained on", _table(_training(meta))]
    parts += [
        "## Chosen by",
        _choice(meta.get("choice") or {}),
        "## Thresholds",
        _thresholds(meta.get("calibration")),
    ]
    if meta.get("calibrated"):
        parts += ["## Calibrated on", _table(_calibrated(meta["calibrated"]))]
    limits = "\n".join(f"- {limit}" for limit in _LIMITS)
    parts += ["## Limits", limits.format(crop=meta["transform"]["crop"])]
    return "\n\n".join(parts) + "\n"


def _model(meta: Mapping[str, Any]) -> dict[str, Any]:
    encoder, head, training = meta["encoder"], meta.get("head") or {}, meta["training"]
    transform = {key: value for key, value in meta["transform"].items() if value is not None}
    return {
        "Encoder": f"{encoder['name']}, weights {encoder['pretrained']}",
        "Kept of a picture": _tokens(encoder),
        "Computed by": encoder.get("library"),
        "Digest of its weights": encoder.get("weights") or "not known: they were not at hand",
        "Arithmetic": _ARITHMETIC.get(encoder.get("arithmetic", "")),
        "Input": ", ".join(f"{key} {value}" for key, value in transform.items()),
        "Layers of a projection (q)": head.get("q", training.get("q")),
        "Projected width (P)": head.get("proj_dim", training.get("d")),
        "Blocks and width of the encoder": f"{head['n_blocks']} x {head['width']}" if head else None,
        "Blocks joined by": head.get("pool"),
        "Source": meta.get("source"),
    }


def _tokens(encoder: Mapping[str, Any]) -> str | None:
    """What is kept of each picture, where it is not the paper's."""
    said = {key: encoder[key] for key in ("token", "tap", "blocks", "image_size") if key in encoder}
    return ", ".join(f"{key} {value}" for key, value in said.items()) or None


def _training(meta: Mapping[str, Any]) -> dict[str, Any]:
    training = meta["training"]
    return {
        "Training set": training.get("training_set"),
        "Classes": ", ".join(meta["classes"]) or "all of the set, or not stated",
        "Sources of synthetic pictures": ", ".join(meta.get("sources") or ()),
        "Pictures": meta.get("pictures"),
        "Share of the data": training.get("fraction"),
        "Left out of the method": training.get("variant"),
        "Epochs": training.get("epochs"),
        "Batch size": training.get("batch_size"),
        "Learning rate": training.get("lr"),
        "Weight of the contrastive loss (xi)": training.get("xi"),
        "Seed": training.get("seed"),
        "Study": meta.get("profile"),
    }


def trained_on(meta: Mapping[str, Any]) -> str:
    """In a few words whose pictures a model learnt from: what decides whether to believe it."""
    sources = (
        ", ".join(meta.get("sources") or ()) or meta["training"].get("training_set") or "pictures that are not stated"
    )
    named = ", ".join(meta["classes"])  # of a data set of one's own its name is both
    classes = f"{named} of " if named and named != sources else ""
    n = f" ({meta['pictures']:,} pictures)" if meta.get("pictures") else ""
    return f"{classes}{sources}{n}"


def _choice(choice: Mapping[str, Any]) -> str:
    if not choice:
        return "Not stated."
    lines = [f"Rule `{choice.get('rule')}`: {choice.get('words') or 'see the study'}."]
    scores = [f"{title} {choice[key]:.3f}" for key, title in (("acc", "accuracy"), ("ap", "AP")) if choice.get(key)]
    if scores:
        lines.append(f"Mean over the test sets it was chosen by: {', '.join(scores)}.")
    return " ".join(lines)


def _calibrated(known: Mapping[str, Any]) -> dict[str, Any]:
    rows: dict[str, Any] = {"Date": known.get("date"), "Crop rule": known.get("crops")}
    for kind in ("real", "synthetic"):
        if some := known.get(kind):
            said = f"{some['pictures']} pictures of {', '.join(some['sources'])}; digest of the set {some['digest']}"
            rows[f"{kind.capitalize()} ones"] = said
    return rows


def _thresholds(calibration: Mapping[str, Any] | None) -> str:
    if not calibration or calibration.get("threshold_fpr1") is None:
        reason = (calibration or {}).get("reason") or "it was stored without a calibration"
        return f"None were fitted ({reason}); the paper's decision is logit > 0."
    table = _table(
        {
            "Probability": f"sigmoid({calibration['scale']:.4g} x logit + {calibration['bias']:.4g})"
            + ("" if calibration["n"] else ", not calibrated"),
            "Logit above which 1 % of real pictures lie": _number(calibration.get("threshold_fpr1")),
            "Logit above which 5 % of real pictures lie": _number(calibration.get("threshold_fpr5")),
            "Fitted on validation pictures": calibration["n"] or None,
        }
    )
    note = calibration.get("reason")
    return f"{table}\n\nNote: {note}." if note else table


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {title} | {value} |" for title, value in rows.items() if value not in (None, "")]
    return "\n".join(["| | |", "|---|---|", *lines])
