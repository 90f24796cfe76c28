"""Primaries and an exponent, as PNG states its colours, made into an ICC profile."""

import struct

Points = tuple[float, ...]
"""x and y of white, red, green and blue, in this order, as PNG's cHRM has them."""

SRGB_POINTS: Points = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_SRGB_GAMMA = 0.45455

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

# Bradford's cone responses (ICC.1:2010, annex E), and their white D50.
_BRADFORD: Matrix = (
    (0.8951, 0.2664, -0.1614),
    (-0.7502, 1.7135, 0.0367),
    (0.0389, -0.0685, 1.0296),
)
_D50: Vector = (0.9642, 1.0, 0.8249)


def matrix_profile(points: Points, gamma: float) -> bytes | None:
    """An ICC profile of three primaries and an exponent, as PNG states them without a profile.

    ``gamma``: of the file, 0.45455 for what sRGB comes near to. None where that is sRGB or makes
    no sense.
    """
    near = max(abs(a - b) for a, b in zip(points, SRGB_POINTS, strict=True)) < 0.005
    if not 0.05 < gamma < 5 or (near and abs(gamma - _SRGB_GAMMA) < 0.02):
        return None
    try:
        columns = _primaries(points)
    except ZeroDivisionError:
        return None
    tags = [
        (b"desc", b"desc\0\0\0\0" + struct.pack(">I", 4) + b"PNG\0" + bytes(79)),
        (b"wtpt", _xyz((0.9642, 1.0, 0.8249))),
        *(
            (name, _xyz(column))
            for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
        ),
        *((name, _curve(1 / gamma)) for name in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s",
        start + len(body),
        b"",
        0x02100000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        struct.pack(">6H", 2000, 1, 1, 0, 0, 0),
        b"acsp",
    )
    header += bytes(68 - len(header)) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header + bytes(128 - len(header)) + table + body


def _primaries(points: Points) -> tuple[Vector, Vector, Vector]:
    """XYZ of red, green and blue at full strength, seen under D50. May divide by zero."""
    white, red, green, blue = (_from_xy(*points[at : at + 2]) for at in (0, 2, 4, 6))
    strengths = _times(_inverse(_transposed((red, green, blue))), white)
    adapted = []
    ours, theirs = _times(_BRADFORD, white), _times(_BRADFORD, _D50)
    for primary, strength in zip((red, green, blue), strengths, strict=True):
        cones = _times(
            _BRADFORD, (primary[0] * strength, primary[1] * strength, primary[2] * strength)
        )
        scaled = (
            cones[0] * theirs[0] / ours[0],
            cones[1] * theirs[1] / ours[1],
            cones[2] * theirs[2] / ours[2],
        )
        adapted.append(_times(_inverse(_BRADFORD), scaled))
    return adapted[0], adapted[1], adapted[2]


def _from_xy(x: float, y: float) -> Vector:
    return x / y, 1.0, (1 - x - y) / y


def _times(m: Matrix, v: Vector) -> Vector:
    a, b, c = (row[0] * v[0] + row[1] * v[1] + row[2] * v[2] for row in m)
    return a, b, c


def _transposed(m: Matrix) -> Matrix:
    a, b, c = zip(*m, strict=True)
    return a, b, c


def _inverse(m: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = m
    det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (
        ((e * i - f * h) / det, (c * h - b * i) / det, (b * f - c * e) / det),
        ((f * g - d * i) / det, (a * i - c * g) / det, (c * d - a * f) / det),
        ((d * h - e * g) / det, (b * g - a * h) / det, (a * e - b * d) / det),
    )


def _xyz(v: Vector) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(x * 65536) for x in v))


def _curve(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, min(0xFFFF, round(exponent * 256)))
