"""The explorer: an interactive page made of compactly encoded data and a few JavaScript modules."""

import base64
import hashlib
import json
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
from markupsafe import Markup

from headtail._checks import checked
from headtail._checksums import FORMAT, read_json, write_json
from headtail._files import atomic_file, deliver, to_path
from headtail.reports._html import TEMPLATES, source, version
from headtail.reports._series import styles_of
from headtail.reports._values import jsonable
from headtail.reports.blocks import Chart
from headtail.typing import Array

# In the order of their imports; see `_joined`.
MODULES = ("data", "dom", "charts", "state", "lists", "tradeoff", "items", "neurons", "spectrum", "main")


@checked
@dataclass(frozen=True, eq=False)
class Explorer:
    """An interactive page of a correction: lists, trade-off, items, neurons and spectrum; made by ``explore``.

    Parameters
    ----------
    data : mapping
        The content of the page as JSON values, with arrays encoded by :func:`packed`.

    Examples
    --------
    >>> Explorer({"verdict": "</script><b>"}).to_html().count("</script>")
    2
    """

    data: Mapping[str, Any]

    def __repr__(self) -> str:
        size = len(json.dumps(jsonable(self.data)))
        return f"Explorer({size / 1e6:.1f} MB of data; to_html(path) makes the page)"

    @overload
    def to_html(self, path: None = None) -> str: ...
    @overload
    def to_html(self, path: str | os.PathLike[str]) -> Path: ...
    def to_html(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return one self-contained HTML page, or write it and return the path; it needs JavaScript and no network."""
        return deliver(path, lambda: _page(self.data))

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write the data with a checksum, for :meth:`read`, and return the path."""
        with atomic_file(path) as temporary:
            write_json({"format": FORMAT, **jsonable(self.data)}, temporary)
        return Path(path)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`to_json` wrote."""
        values = read_json(to_path(path))
        del values["format"]
        return cls(values)


def packed(values: Array) -> dict[str, Any]:
    """Encode an array for JSON: integers in as few bytes as possible, others in 32 bits, deflated, as base64.

    Examples
    --------
    >>> packed(np.array([[1, 2], [300, 4]]))["type"], packed(np.array([1.5]))["shape"]
    ('uint16', [1])
    """
    values = np.asarray(values)
    if values.dtype.kind in "iub":
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        signed = "int" if low < 0 else "uint"
        bits = next(b for b in (8, 16, 32) if max(high, -low - 1) < 2 ** (b - (low < 0)))
        values = values.astype(f"{signed}{bits}")
    else:
        values = values.astype(np.float32)
    raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    coded = base64.b64encode(zlib.compress(raw, 9)).decode()
    return {"type": values.dtype.name, "shape": list(values.shape), "deflated": coded}


def _page(data: Mapping[str, Any]) -> str:
    names = [str(dial["name"]) for dial in data.get("dials", ())]
    styles = styles_of([Chart("line", [{"x": 0, "name": name} for name in names], x="x", y="x", color="name")])
    looks = [{"color": styles[name].css, "marker": styles[name].marker} for name in names]
    css, script = source("report.css") + source("explorer/explorer.css"), _joined()
    view = {
        "data": Markup(_in_script({**data, "looks": looks})),
        "css": Markup(css),
        "script": Markup(script),
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(css)}; base-uri 'none'; "
        "form-action 'none'",
        "version": version(),
    }
    return TEMPLATES.get_template("explorer/page.html.jinja").render(view)


def _joined() -> str:
    """Return the modules as one script without imports, which needs no server."""
    whole = "\n".join(source(f"explorer/{name}.js") for name in MODULES)
    return re.sub(r"^import .*\n|^export ", "", whole, flags=re.M)


def _in_script(data: Mapping[str, Any]) -> str:
    """Return data as JSON that is safe inside a script element."""
    text = json.dumps(jsonable(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _hash(text: str) -> str:
    """Return the content security policy source that allows this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
