"""Files whose names or kinds are the trouble: what is made in a folder, and what must come of each."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from hostile.kinds import good

# each holds a good picture
NAMES = (
    "new\nline.png",
    "tab\tand\rreturn.png",
    "quo\"te's.png",
    "-rf.png",
    "--help.png",
    "=1+1.png",
    "+1.png",
    "@SUM(1).png",
    "\x1b[31mred\x1b[0m.png",
    "\x1b]0;title\x07.png",
    "<img src=x onerror=alert(1)>.png",
    "a&b;c|d$(e)`f`.png",
    "%2e%2e%2f.png",
    "comma,semicolon;.png",
    "back\\slash.png",
    "star*[0]?.png",
    " space .png",
    "right\u202eto left\u200f.png",
    "zero\u200bwidth.png",
    "e\u0301.png",
    "\U0001f4f7.png",
    "x" * 251 + ".png",
)
NOT_UTF8 = b"caf\xe9.png"


def make(folder: Path) -> dict[str, str]:
    """Make all of them; returns name -> "read", or words of the reason. The folder's name must be short."""
    expected = dict.fromkeys(NAMES, "read")
    for name in NAMES:
        (folder / name).write_bytes(good())
    (folder / os.fsdecode(NOT_UTF8)).write_bytes(good())
    expected[os.fsdecode(NOT_UTF8)] = "read"
    (folder / "link.png").symlink_to("-rf.png")
    expected["link.png"] = "read"
    for name, target in (("broken.png", "nowhere"), ("loop.png", "loop.png"), ("device.png", "/dev/zero")):
        (folder / name).symlink_to(target)
    expected |= {"broken.png": "[Nn]o such file|leads nowhere", "loop.png": "loop|symbolic links|leads nowhere"}
    expected["device.png"] = "not a regular file"
    os.mkfifo(folder / "pipe.png")
    expected["pipe.png"] = "not a regular file"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.png"))
    expected["socket.png"] = "not a regular file"
    (folder / "folder.jpg").mkdir()
    expected["folder.jpg"] = "a folder"
    with (folder / "endless.png").open("wb") as file:
        file.write(good())
        file.truncate(3 << 30)  # a hole on disk
    expected["endless.png"] = "MB are more than"
    return expected
