"""A profile of images as a page with a contact sheet, and as lines for the terminal."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from filiera.core.report import Html
from filiera.data import plots
from filiera.data.images import Count, ImageProfile, Thumbnail

_SHEET_BYTES = 4_000_000
_BAR_CHARS = 24
_SHOWN = 8


def images_html(profile: ImageProfile) -> Html:
    """Return *profile* as one page, self-contained and without scripts, at most 5 MB."""
    style = "".join(
        files("filiera.data").joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "images.css")
    )
    sections = (_head(profile), _worth_a_look(profile), _sheet(profile), _counts(profile), _twice(profile))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return Html(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(profile.title)}</title><style>{style}</style></head><body><main>{''.join(sections)}</main>"
        "</body></html>\n"
    )


def images_text(profile: ImageProfile) -> str:
    """Return *profile* as lines for a terminal."""
    lines = [profile.title, *(f"  {name:<12} {value} {note}".rstrip() for name, value, note in _tiles(profile)), ""]
    lines += [f"! {finding}" for finding in profile.findings] + ([""] if profile.findings else [])
    for name, counts in _tables(profile):
        most = max(count.count for count in counts)
        width = max(len(count.label) for count in counts[:_SHOWN])
        lines.append(name)
        for count in counts[:_SHOWN]:
            bar = "█" * max(1, round(_BAR_CHARS * count.count / most))
            lines.append(f"  {count.label:<{width}}  {count.count:>9,}  {bar}")
        if len(counts) > _SHOWN:
            lines.append(f"  and {len(counts) - _SHOWN:,} more")
    return "\n".join(lines)


def _tiles(profile: ImageProfile) -> Iterator[tuple[str, str, str]]:
    aside = sum(reason.count for reason in profile.set_aside)
    yield "Images", f"{profile.images:,}", how_big(profile.size_bytes)
    yield "Set aside", f"{aside:,}", "no sound images"
    if profile.spreads:
        width, height = profile.spreads["width"], profile.spreads["height"]
        note = (
            "all of one size"
            if len(profile.sizes) == 1
            else f"most often; {width.minimum:,.0f} to {width.maximum:,.0f} wide, "
            f"{height.minimum:,.0f} to {height.maximum:,.0f} high"
        )
        yield "Pixels", profile.sizes[0].label, note
    yield "Repeated", f"{profile.repeated:,}", f"equal to an earlier file; {profile.alike_pairs:,} pairs look alike"
    if profile.sampled:
        means = " ".join(f"{mean:.2f}" for mean in profile.channel_means)
        deviations = " ".join(f"{deviation:.2f}" for deviation in profile.channel_deviations)
        yield "Brightness", means, f"deviation {deviations}; 0 to 1, of {profile.sampled:,} images"


def _head(profile: ImageProfile) -> str:
    drawn = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd><small>{_text(note)}</small></div>"
        for name, value, note in _tiles(profile)
    )
    title = f'<header><p class="eyebrow">Exploration of images</p><h1>{_text(profile.title)}</h1></header>'
    return f'{title}<dl class="tiles">{drawn}</dl>'


def _worth_a_look(profile: ImageProfile) -> str:
    if not profile.findings:
        return "<section><h2>Worth a look</h2><p>Nothing: every file is a sound image, none comes twice.</p></section>"
    items = "".join(f"<li>{_text(finding)}</li>" for finding in profile.findings)
    return f'<section><h2>Worth a look</h2><ul class="findings">{items}</ul></section>'


def _sheet(profile: ImageProfile) -> str:
    groups: dict[str, list[Thumbnail]] = {}
    size = 0
    for thumbnail in profile.sheet:
        size += len(thumbnail.address)
        if size > _SHEET_BYTES:
            break
        groups.setdefault(thumbnail.labels, []).append(thumbnail)
    drawn = "".join(
        f'{f"<h3>{_text(label)}</h3>" if label else ""}<div class="sheet">{"".join(map(_figure, shown))}</div>'
        for label, shown in groups.items()
    )
    return f"<section><h2>Contact sheet</h2><p>Chosen by chance, the same ones each time.</p>{drawn}</section>"


def _figure(thumbnail: Thumbnail) -> str:
    path = _text(thumbnail.path)
    return f'<img src="{thumbnail.address}" alt="{path}" title="{path}" loading="lazy">'


def _tables(profile: ImageProfile) -> Iterable[tuple[str, Sequence[Count]]]:
    found = [*profile.labels.items(), ("size", profile.sizes), ("format", profile.formats), ("mode", profile.modes)]
    return [(name, counts) for name, counts in [*found, ("set aside", profile.set_aside)] if counts]


def _counts(profile: ImageProfile) -> str:
    cards = "".join(_card(name, counts) for name, counts in _tables(profile))
    more = f"<p>{profile.other_sizes:,} images have other sizes.</p>" if profile.other_sizes else ""
    return f'<section><h2>How many</h2><div class="cards">{cards}</div>{more}</section>'


def _card(name: str, counts: Sequence[Count]) -> str:
    total = sum(count.count for count in counts) or 1
    rows = "".join(
        f"<li><span>{_text(count.label)}</span>{plots.meter(count.count / total, f'{count.count:,}')}"
        f"<b>{count.count:,}</b></li>"
        for count in counts[: 2 * _SHOWN]
    )
    left = len(counts) - 2 * _SHOWN
    more = f'<p class="none">and {left:,} more</p>' if left > 0 else ""
    return f'<article><h3>{_text(name)}</h3><ol class="counts">{rows}</ol>{more}</article>'


def _twice(profile: ImageProfile) -> str:
    same = "".join(f"<li>{' = '.join(map(_text, paths))}</li>" for paths in profile.repeats)
    near = "".join(
        f"<li>{_text(pair.first)} ≈ {_text(pair.second)} <small>{pair.bits} of 256 bits differ</small></li>"
        for pair in profile.alike
    )
    parts = [
        f'<h3>The same bytes</h3><ul class="paths">{same}</ul>' if same else "",
        f'<h3>Look alike</h3><ul class="paths">{near}</ul>' if near else "",
    ]
    return f"<section><h2>Twice</h2>{''.join(parts)}</section>" if any(parts) else ""


def how_big(size_bytes: float) -> str:
    """Return a number of bytes for people.

    >>> how_big(999), how_big(5_232_000)
    ('999 B', '5.0 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def _text(text: str) -> str:
    return html.escape(text)
