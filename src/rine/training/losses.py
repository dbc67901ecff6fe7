"""The loss of a head: binary cross-entropy plus the supervised contrastive loss (paper, section 3.3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def supervised_contrastive(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss, the mean over anchors (Khosla et al. 2020, equation 2), shape (...).

    `z` (..., B, P) need not be normalised, `labels` (B,). An anchor whose class has no other member counts as
    zero, and so does a batch of one: a last small batch must not turn the weights into NaN.
    """
    batch = z.shape[-2]
    if batch < 2:
        return 0 * z.sum((-2, -1))
    z = F.normalize(z, dim=-1)
    oneself = torch.eye(batch, dtype=torch.bool, device=z.device)
    similarity = z @ z.mT / temperature  # (..., B, B)
    others = torch.logsumexp(similarity.masked_fill(oneself, -math.inf), dim=-1, keepdim=True)
    partners = (labels[:, None] == labels).masked_fill(oneself, False).to(z.dtype)  # (B, B)
    log_probability = ((similarity - others) * partners).sum(-1) / partners.sum(-1).clamp(min=1)  # (..., B)
    return -log_probability.mean(-1)


def total(logit: Tensor, z: Tensor, labels: Tensor, xi: float, temperature: float) -> Tensor:
    """Cross-entropy summed over the batch plus `xi` times the contrastive loss, shape (...).

    `logit` (..., B), `z` (..., B, P), `labels` (B,) of 0 and 1. A sum and a mean are added, so the weight of
    `xi` depends on the batch size; kept, since the published values of `xi` are for this sum.
    """
    targets = labels.to(logit.dtype).expand_as(logit)
    loss = F.binary_cross_entropy_with_logits(logit, targets, reduction="none").sum(-1)
    # without the contrastive loss (ablation) nothing of it is computed
    return loss + xi * supervised_contrastive(z, labels, temperature) if xi else loss
