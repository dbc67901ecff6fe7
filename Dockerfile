# The two commands in a container, on a CPU:  docker build -t rine . && docker run --rm -v "$PWD/report:/rine/report" rine
# With CUDA: PyTorch's package on PyPI brings CUDA's libraries along, so the same image needs no more than the driver and
# NVIDIA's container toolkit: docker run --gpus all. What of this has been run: docs/reproducibility.md.
FROM python:3.13-slim
RUN apt-get update -qq && apt-get install -qq --no-install-recommends chromium git make >/dev/null && rm -rf /var/lib/apt/lists/*
WORKDIR /rine
COPY . .
# a clone's history is not needed, but DVC and `rine verify` ask git
RUN git config --global user.email rine@localhost && git config --global user.name rine && git config --global --add safe.directory /rine \
 && { git rev-parse --quiet --verify HEAD >/dev/null || { git init --quiet && git add --all && git commit --quiet --message start; }; }
ENV PIP_NO_CACHE_DIR=1
RUN make .venv/.test
CMD ["sh", "-c", "make repro && make test"]
