"""A YAML file that a person writes, read strictly: no key twice, plain text only, and no one else may change it.

What belongs here: a file to a document, or the fault that says why not.
What does not: what the document must hold (config, and the sources of evidence).

No message holds a value of the file: a value in the wrong place may be a secret.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from cavra_pipeline.connectors.entry import shown_key
from cavra_pipeline.connectors.sources import OpenToOthersError, TooLargeError, read_file
from cavra_pipeline.errors import Fault


def doubled_keys(where: str, settings: YamlMapping) -> Iterator[Fault]:
    """Yields a fault for each key of a mapping, and of those inside it, that stands twice."""
    for name in sorted(settings.doubled):
        yield Fault(f"{where}.{shown_key(name)}", "the key stands twice", "keep one of the two")
    for key, value in settings.items():
        if isinstance(value, YamlMapping):
            yield from doubled_keys(f"{where}.{shown_key(key)}", value)


class YamlMapping(dict[Hashable, Any]):
    """A mapping of the file that knows which of its keys stood twice."""

    doubled: frozenset[str] = frozenset()


class _Loader(yaml.SafeLoader):
    """YAML without its silent choice of the last of two equal keys."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> YamlMapping:
    keys = [str(key.value) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    mapping = YamlMapping(loader.construct_mapping(node, deep=True))
    mapping.doubled = frozenset(key for key in keys if keys.count(key) > 1)
    return mapping


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_document(path: Path, limit: int, what: str) -> Any:
    """Returns the file's content, or a fault; a parser's message quotes the file and stays here.

    Args:
        path: The file.
        limit: Most bytes.
        what: What kind of file it is, for the remedy.
    """
    try:
        raw = read_file(path, limit, is_secret=False)
        return yaml.load(raw.decode("utf-8"), _Loader)  # noqa: S506  (a SafeLoader)
    except OpenToOthersError as error:
        return Fault(str(path), "others than its owner may change it", error.remedy)
    except TooLargeError:
        return Fault(str(path), f"it is over {limit} bytes", f"give {what}, not a data file")
    except OSError:
        return Fault(str(path), "it cannot be read", "check that it exists, is a file and may be read")
    except UnicodeDecodeError:
        return Fault(str(path), "it is not UTF-8", "save it as UTF-8")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        return Fault(str(path), f"it is not valid YAML{where}", "correct the syntax there")
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return Fault(str(path), "it is not valid YAML", "correct the syntax, and use plain text only")
