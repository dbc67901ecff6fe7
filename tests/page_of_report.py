"""The page that a study's report is: what a reader's parser finds in it."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """What a page asks for, its tags in order, and rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.asked += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag == "img":
            self.images.append(found)
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"} and self.rows:
            self.rows[-1].append("")
        if tag not in {"meta", "img", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data.strip()
