"""What a file says of itself: C2PA, IPTC, EXIF, XMP, text of generators. Beside a verdict, and never mixed into it.

Most files say nothing, and anyone can write or remove what they say: absent means absent. Only a C2PA signature is
checked, for being intact, not for whose it is. Nothing is fetched from a network.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from PIL import Image

from rine.pixels.pictures import opened

MAX_PIXELS = 1_000_000_000  # none is decoded
MOST_XMP = 1_000_000  # letters of a packet that is read
LONGEST = 300  # letters of a text that are kept
GENERATED = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia")
# PNG text chunks that generators write: Stable Diffusion web UIs, ComfyUI, InvokeAI, NovelAI
PNG_TEXTS = ("parameters", "prompt", "workflow", "Dream", "sd-metadata", "invokeai_metadata", "generation_data")
EXIF_SOFTWARE, EXIF_IFD, USER_COMMENT = 0x0131, 0x8769, 0x9286
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF")  # that a manifest is looked for in
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


@dataclass(frozen=True)
class Provenance:
    """What a file says of itself.

    `c2pa`: absent; intact (signed, and unaltered since); broken (altered since, or the signature is wrong); unread
    (there is no library for it here: pip install 'rine[provenance]'). `generated`: the file says that it was made or
    changed by a generator, in whichever way.
    """

    c2pa: Literal["absent", "intact", "broken", "unread"] = "absent"
    signer: str | None = None
    tool: str | None = None
    source_type: str | None = None
    software: tuple[str, ...] = ()
    generator_text: str | None = None
    generated: bool = False
    words: str = ""  # one line for people


def read(source: bytes | str | os.PathLike[str]) -> Provenance:
    """Read what a file says; never raises for what is wrong with it. A stranger's file is for a process apart."""
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    kind, source_type, text = "", None, None
    software: list[str] = []
    try:
        with opened(content, MAX_PIXELS) as image:
            kind = str(image.format)
            software = list(dict.fromkeys(_software(image)))
            source_type, text = _source_type(image), _generator_text(image)
    except Exception:  # of a broken file in any way: it then says nothing
        pass
    signed = _c2pa(content, f"image/{kind.lower()}" if kind in FORMATS else "")
    source_type = signed.pop("source_type", None) or source_type
    generated = text is not None or (source_type in GENERATED)
    found = Provenance(
        source_type=source_type, software=tuple(software), generator_text=text, generated=generated, **signed
    )
    return replace(found, words=_words(found))


def _words(found: Provenance) -> str:
    parts = []
    if found.c2pa == "intact":
        by = f"signed as {found.signer or 'somebody unnamed'} (C2PA), unaltered since; who that is was not checked"
        parts.append(by + (f"; made with {found.tool}" if found.tool else ""))
    elif found.c2pa == "broken":
        parts.append("its C2PA signature does not hold: altered since it was signed, or signed wrongly")
    if found.software:
        parts.append(f"software: {', '.join(found.software)}")
    if found.generator_text:
        parts.append(f"text of a generator: {found.generator_text}")
    if found.generated:
        parts.append("the file says that it was generated" + (f" ({found.source_type})" if found.source_type else ""))
    unread = "; C2PA was not looked for: pip install 'rine[provenance]'" if found.c2pa == "unread" else ""
    return ("; ".join(parts) or "the file says nothing of its origin, which is usual and not suspicious") + unread


def _software(image: Image.Image) -> Iterator[str]:
    exif = image.getexif()
    for value in (exif.get(EXIF_SOFTWARE), *_xmp(image, "CreatorTool"), image.info.get("Software")):
        if isinstance(value, str) and (clean := _clean(value)):
            yield clean


def _source_type(image: Image.Image) -> str | None:
    """IPTC's term, without the address before it."""
    return next((value.rstrip("/").rsplit("/", 1)[-1] for value in _xmp(image, "DigitalSourceType") if value), None)


def _generator_text(image: Image.Image) -> str | None:
    texts: dict[Any, Any] = {**getattr(image, "text", {}), **image.info}
    for key in PNG_TEXTS:
        if isinstance(texts.get(key), str):
            return _clean(f"{key}: {texts[key]}")
    comment = image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT)  # where web UIs put it in a JPEG
    if isinstance(comment, bytes):
        said = comment[8:].decode("utf-16-be" if comment[:7] == b"UNICODE" else "utf-8", "ignore")
        return _clean(f"parameters: {said}") if "Steps: " in said and "Sampler: " in said else None
    return None


def _xmp(image: Image.Image, name: str) -> Iterator[str]:
    """Values of an XMP property, as an attribute or an element, anywhere in the packet."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    if not text or len(text) > MOST_XMP or "<!" in text:  # entities, with which a few lines become gigabytes
        return
    for element in ElementTree.fromstring(text.strip("\0 \n")).iter():
        if element.tag.endswith("}" + name) and element.text and element.text.strip():
            yield element.text.strip()
        yield from (value for key, value in element.attrib.items() if key.endswith("}" + name))


def _clean(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]


def _c2pa(content: bytes, mime: str) -> dict[str, Any]:
    """The active manifest: whether its signature holds, who signed, with what, and what it says of the source."""
    if b"c2pa" not in content or not mime:  # every manifest store bears that label
        return {"c2pa": "absent"}
    try:
        import c2pa
    except ImportError:
        return {"c2pa": "unread"}
    try:
        with (
            c2pa.Context.from_dict(_OFFLINE) as context,
            c2pa.Reader(mime, io.BytesIO(content), context=context) as reader,
        ):
            store, state = json.loads(reader.json()), str(reader.get_validation_state())
    except c2pa.C2paError as error:
        return {"c2pa": "absent" if "ManifestNotFound" in str(error) else "broken"}
    manifests = store.get("manifests", {})
    active = manifests.get(store.get("active_manifest"), {})
    signature = active.get("signature_info", {})
    tools = [
        f"{tool.get('name', '')} {tool.get('version', '')}".strip() for tool in active.get("claim_generator_info", [])
    ]
    return {
        "c2pa": "intact" if state in {"Valid", "Trusted"} else "broken",
        "signer": _clean(str(signature.get("common_name") or signature.get("issuer") or "")) or None,
        "tool": _clean(", ".join(tools)) or None,
        "source_type": _declared(manifests),
    }


def _declared(manifests: dict[str, Any]) -> str | None:
    """A digital source type that says generated, of the picture or of its ingredients; else the first there is."""
    found = []
    for manifest in manifests.values():
        for assertion in manifest.get("assertions", []):
            data = assertion.get("data")
            for action in data.get("actions", []) if isinstance(data, dict) else []:
                if value := action.get("digitalSourceType"):
                    found.append(str(value).rstrip("/").rsplit("/", 1)[-1])
    return next((value for value in found if value in GENERATED), next(iter(found), None))
