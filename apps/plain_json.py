"""JSON as the standard has it, which every program reads: without NaN and Infinity."""

import json
import math
import sys
from typing import Any


def to_json(content: Any, indent: int | None = None) -> str:
    """JSON, in which numbers that are not finite are `null`."""
    return json.dumps(_finite(content), indent=indent, ensure_ascii=False, allow_nan=False)


def to_line(content: Any) -> str:
    """One line of JSON for standard output; escaped, where its encoding lacks a character."""
    line = to_json(content)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(_finite(content), allow_nan=False)
    return line


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
