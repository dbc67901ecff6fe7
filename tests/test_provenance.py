"""What a file says of itself: read as it stands there, never taken for a verdict; a signed one is checked."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from rine.provenance import Provenance, read

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/'
    f'2008-02-29/" xmp:CreatorTool="Dreamer 3" Iptc4xmpExt:DigitalSourceType="{GENERATED}"/></rdf:RDF></x:xmpmeta>'
)


PICTURE = Image.effect_noise((80, 60), 60).convert("RGB")


def jpeg(**how: object) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, "JPEG", **how)  # type: ignore[arg-type]
    return file.getvalue()


def test_nothing_said_is_absent_and_not_suspicious() -> None:
    assert replace(read(jpeg()), words="") == Provenance(c2pa="absent")
    assert "not suspicious" in read(jpeg()).words


def test_what_metadata_say_is_read() -> None:
    exif = Image.Exif()
    exif[0x0131] = "Camera 1.0\0"
    found = read(jpeg(exif=exif, xmp=XMP.encode()))
    assert found.software == ("Camera 1.0", "Dreamer 3")
    assert found.source_type == "trainedAlgorithmicMedia"
    assert found.generated
    assert "says that it was generated" in found.words


@pytest.mark.parametrize(
    ("key", "value"),
    [("parameters", "a cat, Steps: 20, Sampler: Euler a"), ("prompt", '{"3": {"class_type": "KSampler"}}')],
)
def test_text_of_a_generator_in_a_png_is_found(key: str, value: str) -> None:
    info, file = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text(key, value)
    info.add_text("Title", "a cat")
    PICTURE.save(file, "PNG", pnginfo=info)
    found = read(file.getvalue())
    assert found.generator_text == f"{key}: {value}"
    assert found.generated


def test_a_file_that_is_broken_says_nothing() -> None:
    assert read(b"no picture").c2pa in {"absent", "unread"}
    assert not read(jpeg()[:300]).generated


def signed(tmp_path: Path, content: bytes, source_type: str | None) -> bytes:
    """A picture with a C2PA manifest, signed by a certificate made here."""
    c2pa = pytest.importorskip("c2pa", reason="pip install 'rine[provenance]'")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, text), x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)]
        )

    def certificate(
        subject: str, key: ec.EllipticCurvePrivateKey, by: str, by_key: ec.EllipticCurvePrivateKey, ca: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(by))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False)
        )
        if not ca:
            made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        return made.sign(by_key, hashes.SHA256())

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    chain = certificate("Tests", key, "Root", root_key, ca=False).public_bytes(pem)
    chain += certificate("Root", root_key, "Root", root_key, ca=True).public_bytes(pem)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    action = {"action": "c2pa.created"} | ({"digitalSourceType": source_type} if source_type else {})
    manifest = {
        "claim_generator_info": [{"name": "Dreamer", "version": "3"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
    info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, private, None)
    out = io.BytesIO()
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
        builder.sign(signer, "image/jpeg", io.BytesIO(content), out)
    return out.getvalue()


def test_a_signed_picture_is_checked(tmp_path: Path) -> None:
    made = signed(tmp_path, jpeg(), GENERATED)
    found = read(made)
    assert found.c2pa == "intact"
    assert found.signer == "Tests"
    assert found.generated
    assert "who that is was not checked" in found.words
    altered = bytearray(made)
    altered[-200] ^= 0xFF  # of the pixels
    assert read(bytes(altered)).c2pa == "broken"
