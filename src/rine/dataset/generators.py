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

# When each was released: the first version of its paper on arXiv where there is one, else what its makers announced.
RELEASED: dict[str, str] = {
    "cyclegan": "2017-03-30",  # arXiv 1703.10593
    "crn": "2017-07-28",  # arXiv 1707.09405
    "progan": "2017-10-27",  # arXiv 1710.10196
    "stargan": "2017-11-24",  # arXiv 1711.09020
    "seeingdark": "2018-05-04",  # arXiv 1805.01934
    "biggan": "2018-09-28",  # arXiv 1809.11096
    "imle": "2018-11-29",  # arXiv 1811.12373
    "stylegan": "2018-12-12",  # arXiv 1812.04948
    "deepfake": "2019-01-25",  # FaceForensics++, arXiv 1901.08971
    "gaugan": "2019-03-18",  # arXiv 1903.07291
    "san": "2019-06-16",  # CVPR 2019, no preprint
    "stylegan2": "2019-12-03",  # arXiv 1912.04958
    "diffusion_datasets/dalle": "2021-02-24",  # arXiv 2102.12092
    "diffusion_datasets/guided": "2021-05-11",  # arXiv 2105.05233
    "diffusion_datasets/ldm_200": "2021-12-20",  # arXiv 2112.10752
    "diffusion_datasets/ldm_200_cfg": "2021-12-20",
    "diffusion_datasets/ldm_100": "2021-12-20",
    "diffusion_datasets/glide_100_27": "2021-12-20",  # arXiv 2112.10741
    "diffusion_datasets/glide_50_27": "2021-12-20",
    "diffusion_datasets/glide_100_10": "2021-12-20",
    "glide": "2021-12-20",
    "dalle2": "2022-04-13",  # arXiv 2204.06125
    "stable-diffusion-1-3": "2022-08-22",  # with 1.4, to the public: github.com/CompVis/stable-diffusion
    "stable-diffusion-1-4": "2022-08-22",
    "stable-diffusion-2": "2022-11-24",  # 2.0: github.com/Stability-AI/stablediffusion
    "midjourney-v5": "2023-03-15",  # announced to its users
    "firefly": "2023-03-21",  # the beta, announced by Adobe
    "stable-diffusion-xl": "2023-07-26",  # 1.0: github.com/Stability-AI/generative-models
    "dalle3": "2023-09-20",  # announced by OpenAI
}

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


def family(name: str) -> str:
    """A family by the name that the paper's has, however it is written: `GAN` is `gan`; any other keeps its own."""
    return next((known for known in FAMILY_TITLE if known == name.casefold()), name)


def family_title(name: str) -> str:
    """Label of a family for people; one's own is called by its own name."""
    return FAMILY_TITLE.get(name, name)
