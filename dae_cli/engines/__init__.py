"""Engines, which compute training steps: plain torch operations or fused compiled kernels."""
