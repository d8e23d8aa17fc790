"""The contractive penalty on an encoder, and its gradient in closed form.

The penalty is λ times the squared Frobenius norm of the Jacobian of the code h = sigm(a), with
a = b + W x, in its input. Of sigmoid units it needs no Jacobian to be written out:

    ‖∂h/∂x‖² = Σⱼ sⱼ² ‖Wⱼ‖²        sⱼ = hⱼ (1 − hⱼ), the slope of unit j; Wⱼ its filter

    ∂/∂aⱼ = 2 λ sⱼ² (1 − 2 hⱼ) ‖Wⱼ‖²        ∂/∂Wⱼ = 2 λ sⱼ² Wⱼ, beside what passes through aⱼ

References: Larochelle's lecture, slide on the contractive autoencoder; Rifai, Vincent, Muller,
Glorot, Bengio 2011, equations 5 and 6.
"""

from __future__ import annotations

import torch
from torch import Tensor


def contract(
    weight: Tensor, codes: Tensor, errors: Tensor, cost: Tensor, strength: float
) -> Tensor:
    """Add the penalty of a minibatch to its cost and to its errors.

    Args:
        weight: W, (hidden, d).
        codes: h, (m, hidden).
        errors: δh, (m, hidden), per example, in the encoder's input a; added to.
        cost: of the minibatch, summed over its rows, a tensor of one number; added to.
        strength: λ.

    Returns:
        (hidden,): ∂/∂Wⱼ, summed over the rows, is this times Wⱼ, beside what the errors give.
    """
    squared_slopes = torch.addcmul(codes, codes, codes, value=-1.0).square_()
    squared_norms = torch.linalg.vecdot(weight, weight)
    by_unit = squared_slopes.sum(0).mul_(strength)
    cost.add_(torch.dot(by_unit, squared_norms))
    turn = torch.mul(codes, -2.0).add_(1.0).mul_(squared_slopes).mul_(squared_norms)
    errors.add_(turn, alpha=2.0 * strength)
    return by_unit.mul_(2.0)
