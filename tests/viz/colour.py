"""Distances between colours, for normal vision, deuteranopia and protanopia."""

from __future__ import annotations

from math import dist

Vector = tuple[float, ...]

# How linear RGB is seen: Machado, Oliveira and Fernandes 2009, severity 1.0.
NORMAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
# Ottosson 2020, "A perceptual color space for image processing": linear RGB to cones, cones to OKLab.
CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def linear(colour: str) -> Vector:
    """Return "#RRGGBB" as linear RGB, 0 to 1."""
    values = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)


def times(matrix: tuple[Vector, ...], vector: Vector) -> Vector:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def oklab(rgb: Vector) -> Vector:
    cones = times(CONES, tuple(min(1.0, max(0.0, v)) for v in rgb))
    return times(OKLAB, tuple(v ** (1 / 3) for v in cones))


def distance(one: str, other: str, vision: tuple[Vector, ...] = NORMAL) -> float:
    """Return the distance of two colours in OKLab; 0.02 is just noticeable, black to white is 1."""
    return dist(*(oklab(times(vision, linear(colour))) for colour in (one, other)))


def contrast(colour: str, ground: str) -> float:
    """Return the contrast ratio of WCAG 2, 1 to 21."""
    lights = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (linear(colour), linear(ground)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)
