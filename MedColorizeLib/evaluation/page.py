"""One self-contained HTML page: its style, lights as shape + word + colour, cards, tables, pictures.

For: the report and the comparison. A page opens from a USB stick: no script, no font, no address outside itself (its
content policy forbids any), light and dark after the reader's system, black on white when printed.
Not for: what the page says (report and compare hold that) and charts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from ..resources import resources_dir

LIGHTS: dict[str, str] = {"green": "good", "amber": "look closer", "red": "poor", "none": "not judged"}
"""The lights and the word that stands beside each."""

_SHAPES = {
    "green": '<circle cx="12" cy="12" r="11"/><path class="sign" d="M6.5 12.5l3.7 3.8 7.3-8.2"/>',
    "amber": '<path d="M12 1.2L23.4 22H.6z"/><path class="sign" d="M12 8.8v6M12 18.2v.3"/>',
    "red": '<path d="M7.2.8h9.6l6.4 6.4v9.6l-6.4 6.4H7.2L.8 16.8V7.2z"/><path class="sign" d="M8 8l8 8m0-8l-8 8"/>',
    "none": '<circle class="hollow" cx="12" cy="12" r="10" stroke-dasharray="4 3"/>',
}


def sign(light: str, word: bool = True) -> str:
    """A light as a shape and a word: circle with a tick, triangle with a stroke, octagon with a cross."""
    text = f"<span>{LIGHTS[light]}</span>" if word else ""
    drawing = f'<svg viewBox="0 0 24 24" aria-hidden="true">{_SHAPES[light]}</svg>'
    return f'<span class="grade {light}" title="{LIGHTS[light]}">{drawing}{text}</span>'


def verdict(light: str, line: str) -> str:
    """The one line a hurried person reads."""
    return (
        f'<section class="verdict {light}">{sign(light, word=False)}<div><p class="word">{LIGHTS[light]}</p>'
        f'<p class="line">{escape(line)}</p></div></section>'
    )


def card(light: str, title: str, value: str, unit: str, words: str, meaning: str, extra: str = "") -> str:
    """One graded question: its number, what that says of this volume, and what the number is."""
    unit = f"<small>{escape(unit)}</small>" if unit else ""
    return (
        f'<article class="card {light}"><header><h3>{escape(title)}</h3>{sign(light)}</header>'
        f'<p class="figure">{escape(value)} {unit}</p><p class="words">{escape(words)}</p>{extra}'
        f'<p class="meaning">{escape(meaning)}</p></article>'
    )


def cards(items: Iterable[str]) -> str:
    return f'<div class="cards">{"".join(items)}</div>'


def section(title: str, body: str, lead: str = "", anchor: str = "") -> str:
    """A part of the page; `lead` says in a sentence what to look for."""
    mark = f' id="{escape(anchor)}"' if anchor else ""
    lead = f'<p class="lead">{lead}</p>' if lead else ""
    return f"<section{mark}><h2>{escape(title)}</h2>{lead}{body}</section>"


def image(png: bytes, alt: str) -> str:
    """A picture inside the page."""
    kind = "jpeg" if png[:2] == b"\xff\xd8" else "png"
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(png).decode()}">'


def tile(png: bytes, alt: str, tag: str = "", sides: tuple[str, str, str] | None = None, here: bool = False) -> str:
    """A slice with its tag; `sides` are the letters at its left, right and lower edge."""
    letters = "".join(
        f'<span class="side {where}">{escape(letter)}</span>' for where, letter in zip("lrb", sides or (), strict=False)
    )
    label = f'<span class="tag">{escape(tag)}</span>' if tag else ""
    return f'<div class="tile{" here" if here else ""}">{label}{image(png, alt)}{letters}</div>'


def strip(tiles: Sequence[str], caption: str = "", css: str = "", columns: int = 0) -> str:
    """Tiles side by side, as one figure; `caption` is HTML."""
    grid = f"grid-template-columns:repeat({columns or len(tiles)},minmax(0,1fr))"
    text = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><div class="strip {css}" style="{grid}">{"".join(tiles)}</div>{text}</figure>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Name and value pairs; values are HTML."""
    return f'<dl class="facts">{"".join(f"<dt>{escape(n)}</dt><dd>{v}</dd>" for n, v in pairs)}</dl>'


def notes(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="notes">{items}</ul>' if items else ""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], css: str = "", left: int = 1) -> str:
    """A table of ready-made HTML cells; the first `left` columns are text, the others numbers.

    A row of one cell is a heading over the rows below it.
    """
    head = "".join(f'<th class="{"" if n < left else "num"}">{cell}</th>' for n, cell in enumerate(headers))
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row"{f" colspan={len(headers)}" if len(row) == 1 else ""}>{cell}</th>'
            if n == 0
            else f'<td class="{"" if n < left else "num"}">{cell}</td>'
            for n, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table class="{css}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def swatch(rgb: Sequence[float]) -> str:
    """A patch of a colour."""
    r, g, b = (max(0, min(255, round(float(v)))) for v in rgb)
    return f'<span class="swatch" style="background:rgb({r} {g} {b})" title="R {r}, G {g}, B {b}"></span>'


def page(title: str, subtitle: str, body: str, footer: str) -> str:
    """The whole document."""
    style = (resources_dir() / "Report" / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f'<meta name="generator" content="MedColorize"><title>{escape(title)}</title>'
        f"<style>{style}</style></head><body>"
        f'<header class="top"><div><h1>{escape(title)}</h1><p class="subtitle">{subtitle}</p></div>'
        '<p class="badge">Synthetic colour <br><b>not for diagnosis</b></p></header>'
        f"<main>{body}</main><footer>{footer}</footer></body></html>\n"
    )
