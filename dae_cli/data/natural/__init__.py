"""Patches of photographs: the photographs, their whitening, and how patches are cut."""
