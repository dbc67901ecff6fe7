"""The generators of the paper's 20 + 9 test sets: names as published, their families, labels for people."""

from __future__ import annotations

# (name as published, label, family), in the order of the paper's tables.
# Families as the paper groups its columns (table 1): GANs, deepfakes, low-level vision, perceptual loss, diffusion,
# and the one autoregressive model (DALL-E).
_GRID = (
    ("progan", "ProGAN", "gan"),
    ("stylegan", "StyleGAN", "gan"),
    ("stylegan2", "StyleGAN2", "gan"),
    ("biggan", "BigGAN", "gan"),
    ("cyclegan", "CycleGAN", "gan"),
    ("stargan", "StarGAN", "gan"),
    ("gaugan", "GauGAN", "gan"),
    ("deepfake", "Deepfake", "deepfake"),
    ("seeingdark", "SITD", "low_level"),
    ("san", "SAN", "low_level"),
    ("crn", "CRN", "perceptual"),
    ("imle", "IMLE", "perceptual"),
    ("diffusion_datasets/guided", "Guided", "diffusion"),
    ("diffusion_datasets/ldm_200", "LDM 200", "diffusion"),
    ("diffusion_datasets/ldm_200_cfg", "LDM 200 CFG", "diffusion"),
    ("diffusion_datasets/ldm_100", "LDM 100", "diffusion"),
    ("diffusion_datasets/glide_100_27", "Glide 100-27", "diffusion"),
    ("diffusion_datasets/glide_50_27", "Glide 50-27", "diffusion"),
    ("diffusion_datasets/glide_100_10", "Glide 100-10", "diffusion"),
    ("diffusion_datasets/dalle", "DALL-E", "autoregressive"),
)
_SYNTHBUSTER = (
    ("dalle2", "DALL-E 2", "diffusion"),
    ("dalle3", "DALL-E 3", "diffusion"),
    ("stable-diffusion-1-3", "SD 1.3", "diffusion"),
    ("stable-diffusion-1-4", "SD 1.4", "diffusion"),
    ("stable-diffusion-2", "SD 2", "diffusion"),
    ("stable-diffusion-xl", "SDXL", "diffusion"),
    ("glide", "Glide", "diffusion"),
    ("firefly", "Firefly", "diffusion"),
    ("midjourney-v5", "Midjourney 5", "diffusion"),
)

GRID_GENERATORS: tuple[str, ...] = tuple(name for name, _, _ in _GRID)
SYNTHBUSTER_GENERATORS: tuple[str, ...] = tuple(name for name, _, _ in _SYNTHBUSTER)
TITLE: dict[str, str] = {name: title for name, title, _ in _GRID + _SYNTHBUSTER}
FAMILY: dict[str, str] = {name: family for name, _, family in _GRID + _SYNTHBUSTER}
FAMILY_TITLE: dict[str, str] = {
    "gan": "GAN",
    "deepfake": "Deepfake",
    "low_level": "Low-level vision",
    "perceptual": "Perceptual loss",
    "diffusion": "Diffusion",
    "autoregressive": "Autoregressive",
}


def title(generator: str) -> str:
    """Label of a generator for people; a data set of one's own is called by its own name."""
    return TITLE.get(generator, generator)
