"""Colours of pictures, and the style sheet of pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

INK, FAINT, LINE = "#16181d", "#5b6270", "#e4e7ec"
"""Colours of text, of secondary text, and of frames, in pictures on white."""

GROUP_COLOURS = (
    *("#2f5bea", "#d9480f", "#2b8a3e", "#b3446c", "#e8a400", "#6f42c1"),
    *("#0c8599", "#8a5a2b", "#e64980", "#74a12e", "#364152"),
)
"""Eleven colours that differ on white, also to most people with colour blindness."""

REST, REST_COLOUR = "others", "#b4bac4"
"""The grey of all groups beyond `GROUP_COLOURS`, and their name in a legend."""


def group_colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name, the most frequent name first.

    Names beyond `GROUP_COLOURS` share `REST_COLOUR`.
    """
    counts = sorted(Counter(names).items(), key=lambda entry: (-entry[1], entry))
    return {
        name: GROUP_COLOURS[place] if place < len(GROUP_COLOURS) else REST_COLOUR
        for place, (name, _) in enumerate(counts)
    }


CSS = """\
:root {
  --page: #f6f7f9; --card: #fff; --ink: #16181d; --faint: #5b6270; --line: #e4e7ec;
  --well: #eef0f4; --accent: #2f5bea; --shade: 0 1px 2px rgb(16 24 40 / .06);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1115; --card: #181b21; --ink: #eceef2; --faint: #9aa3b2; --line: #2a2f39;
    --well: #20242c; --accent: #8fabff; --shade: none;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  max-width: 1440px; margin: 0 auto; padding: 32px clamp(16px, 3vw, 40px) 48px;
}
header { display: flex; gap: 20px; align-items: center; margin-bottom: 28px; }
header > div:last-child { min-width: 0; }
h1 {
  font-size: clamp(22px, 3.2vw, 32px); line-height: 1.2; font-weight: 650;
  letter-spacing: -.015em; overflow-wrap: anywhere; text-wrap: balance;
}
.kicker {
  color: var(--accent); font-size: 12px; font-weight: 650; letter-spacing: .08em;
  text-transform: uppercase; margin-bottom: 4px;
}
.count { color: var(--faint); margin-top: 4px; }
.asked {
  flex: none; width: 112px; height: 112px; border-radius: 14px; overflow: hidden;
  background: var(--well); border: 1px solid var(--line);
}
img { display: block; width: 100%; height: 100%; object-fit: contain; }
.grid {
  list-style: none; padding: 0; display: grid; gap: 18px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(210px, 100%), 1fr));
}
.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  overflow: hidden; box-shadow: var(--shade); break-inside: avoid;
}
.picture { position: relative; aspect-ratio: 1; background: var(--well); }
.rank, .score {
  position: absolute; top: 10px; padding: 2px 9px; border-radius: 99px;
  font-size: 12.5px; font-weight: 650; font-variant-numeric: tabular-nums;
}
.rank { left: 10px; background: var(--ink); color: var(--card); }
.score {
  right: 10px; background: var(--card); color: var(--ink); box-shadow: 0 0 0 1px var(--line);
}
.body { padding: 12px 14px 14px; }
.caption {
  font-weight: 550; overflow-wrap: anywhere; display: -webkit-box; overflow: hidden;
  -webkit-box-orient: vertical; -webkit-line-clamp: 3;
}
.caption.none { color: var(--faint); font-weight: 400; font-style: italic; }
.item {
  color: var(--faint); font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; margin-top: 2px;
}
dl { display: flex; flex-wrap: wrap; gap: 4px 14px; margin-top: 8px; font-size: 13px; }
dl div { display: flex; gap: 5px; }
dt { color: var(--faint); }
dd { font-variant-numeric: tabular-nums; }
dd i, .absent dd { color: var(--faint); font-style: normal; }
details { margin-top: 10px; border-top: 1px solid var(--line); padding-top: 8px; font-size: 13px; }
summary { cursor: pointer; color: var(--faint); border-radius: 4px; }
summary:hover { color: var(--ink); }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; margin-top: 6px; }
th, td { text-align: left; vertical-align: top; padding: 3px 0; overflow-wrap: anywhere; }
th { color: var(--faint); font-weight: 400; padding-right: 12px; width: 38%; }
.missing {
  height: 100%; display: flex; flex-direction: column; justify-content: center; gap: 4px;
  padding: 44px 18px 18px; text-align: center; color: var(--faint); font-size: 12.5px;
  overflow: hidden; overflow-wrap: anywhere;
}
.missing b { color: var(--ink); font-size: 14px; font-weight: 600; }
.empty { color: var(--faint); padding: 64px 0; text-align: center; }
@media (max-width: 480px) {
  body { padding-top: 20px; }
  header { gap: 14px; margin-bottom: 20px; }
  .asked { width: 84px; height: 84px; }
  .grid { grid-template-columns: 1fr 1fr; gap: 12px; }
  .body { padding: 10px 11px 12px; }
}
@media print { .card { box-shadow: none; } }
"""
