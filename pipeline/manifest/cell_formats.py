"""How a spreadsheet shows a number: 123 as 00123, 46082 as 2026-03-01."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from math import isfinite

Shown = Callable[[str], str]
"""The text of a stored number, as digits, to what the cell shows."""

_BUILT_IN = {1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%"}
_DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
"""Numbers of formats that files do not spell out (ECMA-376 part 1, 18.8.30)."""

_MEANT_LITERALLY = re.compile(r'"[^"]*"|\\.|_.|\*.')
_BRACKETS = re.compile(r"\[[^\]]*\]")
_ELAPSED = re.compile(r"\[[hms]+\]", re.I).search
_DATE_LETTERS = re.compile(r"[dmyhs]", re.I).search
_DECIMALS = re.compile(r"[#,]*0(?:\.(0+))?(%?)").fullmatch
_DIGITS = re.compile(r'(?:0|"[^"]*"|\\.|[- /.()+:])+').fullmatch
_TOKENS = re.compile(r'"([^"]*)"|\\(.)|(.)').findall

_WHOLE = 1e15
"""From here on spreadsheets compute with no digit behind the point."""

_MOST_DECIMALS = 30
"""Excel has no more."""

_PRECISE = 64
"""Digits: 15 before the point, two more as per cents, and all decimals."""

_LAST_DAY = 2_958_466
"""Days after 1899-12-31: the year 10000, which no calendar here has."""


def shown_by(number: int, code: str | None, *, since_1904: bool) -> Shown:
    """``number``: of the format; ``code``: its text, where the file has one."""
    if code is None:
        if number in _DATES:
            return _dated(since_1904)
        code = _BUILT_IN.get(number, "General")
    section = code.split(";", 1)[0]
    if _ELAPSED(section):
        return _elapsed
    plain = _BRACKETS.sub("", section)
    bare = _MEANT_LITERALLY.sub("", plain)
    if "general" not in bare.lower() and _DATE_LETTERS(bare):
        return _dated(since_1904)
    if (found := _DECIMALS(plain)) and len(found.group(1) or "") <= _MOST_DECIMALS:
        return _fixed(len(found.group(1) or ""), bool(found.group(2)))
    if _DIGITS(plain) and bare.count("0") > 1 and "." not in bare:
        return _filled(plain)
    return general


def general(text: str) -> str:
    """At most 15 significant digits, as spreadsheets compute; no exponent for what is whole."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not isfinite(number):
        return text
    if number.is_integer() and abs(number) < _WHOLE:
        return str(int(number))
    return f"{number:.15g}"


def _fixed(decimals: int, percent: bool) -> Shown:
    def shown(text: str) -> str:
        try:
            number = float(text)
        except ValueError:
            return text
        if not (abs(number) < _WHOLE and (decimals or percent)):
            # Whole numbers are shown in full; a fraction that the cell hides is not lost.
            return general(text)
        # As spreadsheets round: by the 15 digits that they show, halves away from zero.
        from decimal import ROUND_HALF_UP, Context, Decimal

        exact = Decimal(f"{number:.15g}") * (100 if percent else 1)
        rounded = exact.quantize(
            Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP, context=Context(prec=_PRECISE)
        )
        return f"{rounded:f}{'%' if percent else ''}"

    return shown


def _filled(code: str) -> Shown:
    """``00000``, ``000-000``, ``"SKU-"00000``: digits from the right, zeros in front."""
    tokens = [(not (quote or escaped) and plain == "0", quote or escaped or plain)
              for quote, escaped, plain in _TOKENS(code)]  # fmt: skip

    def shown(text: str) -> str:
        digits = general(text)
        if not digits.isdecimal():
            return digits
        pieces: list[str] = []
        places = sum(1 for place, _ in tokens if place)
        digits = digits.rjust(places, "0")
        for place, literal in reversed(tokens):
            if not place:
                pieces.append(literal)
                continue
            places -= 1
            pieces.append(digits[-1] if places else digits)
            digits = digits[:-1]
        return "".join(reversed(pieces))

    return shown


def _dated(since_1904: bool) -> Shown:
    """ISO 8601, whatever the cell's own order of day and month: one reading everywhere."""

    def shown(text: str) -> str:
        try:
            serial = float(text)
        except ValueError:
            return text
        if not 0 <= serial < _LAST_DAY - (1462 if since_1904 else 0):
            return general(text)
        seconds = round(serial % 1 * 86_400)
        days = int(serial) + (1462 if since_1904 else 0)
        if days < 60 and not since_1904:
            days += 1  # Excel has a 29 February 1900, which never was
        moment = datetime(1899, 12, 30) + timedelta(days=days, seconds=seconds)  # noqa: DTZ001
        time = f"{moment:%H:%M:%S}".removesuffix(":00")
        if serial < 1:
            return time
        return f"{moment:%Y-%m-%d} {time}" if seconds else f"{moment:%Y-%m-%d}"

    return shown


def _elapsed(text: str) -> str:
    """``[h]:mm``: hours that may be more than a day."""
    try:
        seconds = round(float(text) * 86_400)
    except (ValueError, OverflowError):
        return text
    sign = "-" if seconds < 0 else ""
    hours, rest = divmod(abs(seconds), 3600)
    return f"{sign}{hours}:{rest // 60:02}" + (f":{rest % 60:02}" if rest % 60 else "")
