"""FSIM and FSIMc: feature similarity of two pictures, as Zhang, Zhang, Mou and Zhang define it (IEEE TIP 20(8), 2011).

Phase congruency (Kovesi 1999) from log-Gabor filters of 4 scales and 4 orientations, smallest wavelength 6, factor 2,
sigma/f 0.55; gradient by Scharr's operator; T1 0.85, T2 160, T3 = T4 = 200, lambda 0.03.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALES = 4
ORIENTATIONS = 4
MIN_WAVELENGTH = 6.0
FACTOR = 2.0
SIGMA_ON_F = 0.55
ANGLE_ON_SIGMA = 1.2
NOISE_DEVIATIONS = 2.0
T1, T2, T3, T4 = 0.85, 160.0, 200.0, 200.0
LAMBDA = 0.03
_EPSILON = 1e-4
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

Plane = NDArray[np.float64]


@functools.lru_cache(maxsize=4)
def _filters(rows: int, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, ...]]:
    """Radial (scales, rows, columns) and angular (orientations, ...) parts of the filters, zero frequency at [0, 0].

    And, per orientation, the energy that noise whose smallest-scale median power is 1 would give: see `_noise`.
    """

    def axis(length: int) -> Plane:
        # Kovesi's grid: for odd lengths it reaches exactly half a cycle on both sides.
        if length % 2:
            span = np.arange(-(length - 1) / 2, (length - 1) / 2 + 1) / max(length - 1, 1)
        else:
            span = np.arange(-length / 2, length / 2) / length
        return np.fft.ifftshift(span)

    x, y = np.meshgrid(axis(columns), axis(rows))
    radius = np.hypot(x, y)
    radius[0, 0] = 1.0
    theta = np.arctan2(-y, x)
    lowpass = 1.0 / (1.0 + (np.where(radius == 1.0, 0.0, radius) / 0.45) ** 30)
    radial = []
    for scale in range(SCALES):
        center = 1.0 / (MIN_WAVELENGTH * FACTOR**scale)
        gabor = np.exp(-(np.log(radius / center) ** 2) / (2 * np.log(SIGMA_ON_F) ** 2)) * lowpass
        gabor[0, 0] = 0.0
        radial.append(gabor)
    sigma = np.pi / ORIENTATIONS / ANGLE_ON_SIGMA
    angular = []
    for orientation in range(ORIENTATIONS):
        angle = orientation * np.pi / ORIENTATIONS
        away = np.abs(np.arctan2(np.sin(theta - angle), np.cos(theta - angle)))
        angular.append(np.exp(-(away**2) / (2 * sigma**2)))
    bank, spreads = np.array(radial), np.array(angular)
    return bank, spreads, tuple(_noise(bank * spread) for spread in spreads)


def phase_congruency(plane: Plane) -> Plane:
    """Phase congruency of a picture (rows, columns): 0 to 1, high where the Fourier components agree in phase."""
    from scipy.fft import fft2, ifft2  # unlike numpy's, they keep single precision, which halves the time

    radial, angular, noises = _filters(*plane.shape)
    radial, angular = radial.astype(np.float32), angular.astype(np.float32)
    spectrum = fft2(plane.astype(np.float32))
    energies, amplitudes = np.zeros(plane.shape), np.zeros(plane.shape)
    for spread, noise in zip(angular, noises, strict=True):
        responses = ifft2((spectrum * spread) * radial)
        amplitude = np.abs(responses)
        total = responses.sum(axis=0)
        direction = total / (np.abs(total) + np.float32(_EPSILON))
        turned = responses * direction.conj()
        energy = (turned.real - np.abs(turned.imag)).sum(axis=0)
        # Noise shows at the smallest scale, where there is least of anything else.
        energies += np.maximum(energy - noise * np.sqrt(np.median(amplitude[0] ** 2)), 0)
        amplitudes += amplitude.sum(axis=0)
    return np.where(amplitudes > 0, energies / np.where(amplitudes > 0, amplitudes, 1), 0.0)


def _noise(filters: NDArray[np.float64]) -> float:
    """Energy that noise alone would give, Rayleigh distributed, if the median power at the smallest scale is 1."""
    power = 1 / np.log(2) / (filters[0] ** 2).sum()
    kernels = np.fft.ifft2(filters).real * np.sqrt(filters[0].size)
    own = (kernels**2).sum()
    mixed = (kernels.sum(axis=0) ** 2).sum() - own  # twice the sum over pairs of scales
    tau = np.sqrt(max(power * (own + mixed), 0.0))
    threshold = tau * np.sqrt(np.pi / 2) + NOISE_DEVIATIONS * np.sqrt((2 - np.pi / 2) * tau**2)
    return float(threshold / 1.7)  # the paper's empirical correction of Kovesi's estimate


def _gradient(plane: Plane) -> Plane:
    """Magnitude by Scharr's operator (3, 10, 3) / 16; outside the picture is zero."""
    p = np.pad(plane, 1)
    x = (3 * (p[:-2, :-2] - p[:-2, 2:]) + 10 * (p[1:-1, :-2] - p[1:-1, 2:]) + 3 * (p[2:, :-2] - p[2:, 2:])) / 16
    y = (3 * (p[:-2, :-2] - p[2:, :-2]) + 10 * (p[:-2, 1:-1] - p[2:, 1:-1]) + 3 * (p[:-2, 2:] - p[2:, 2:])) / 16
    return np.hypot(x, y)


def _shrink(plane: Plane) -> Plane:
    """Averaged and subsampled so that the shorter side is about 256, as the paper's protocol asks."""
    step = max(1, round(min(plane.shape) / 256))
    if step == 1:
        return plane
    from scipy.ndimage import uniform_filter

    # An even window reaches one further back, as Matlab's 'same' convolution does forward; either is half a pixel.
    return np.asarray(uniform_filter(plane, step, mode="constant")[::step, ::step])


def _similarity(first: Plane, second: Plane, constant: float) -> Plane:
    return (2 * first * second + constant) / (first**2 + second**2 + constant)


def fsim(first: NDArray[Any], second: NDArray[Any]) -> float:
    """FSIM of two gray pictures (rows, columns), codes 0..255: 1 for identical ones."""
    return _fsim(_shrink(first.astype(np.float64)), _shrink(second.astype(np.float64)), None)


def fsimc(first: NDArray[Any], second: NDArray[Any]) -> float:
    """FSIMc of two colour pictures (rows, columns, 3): FSIM on Y, times the similarity of I and Q."""
    one, two = (
        [_shrink(channel) for channel in np.moveaxis(picture.astype(np.float64) @ _YIQ.T, -1, 0)]
        for picture in (first, second)
    )
    product = _similarity(one[1], two[1], T3) * _similarity(one[2], two[2], T4)
    # A negative product to a fractional power is complex; the paper's code takes the real part.
    return _fsim(one[0], two[0], (product.astype(np.complex128) ** LAMBDA).real)


def _fsim(first: Plane, second: Plane, chroma: Plane | None) -> float:
    congruency = phase_congruency(first), phase_congruency(second)
    weight = np.maximum(*congruency)
    similar = _similarity(*congruency, T1) * _similarity(_gradient(first), _gradient(second), T2)
    if chroma is not None:
        similar = similar * chroma
    total = weight.sum()
    return float((similar * weight).sum() / total) if total > 0 else float(similar.mean())
