"""The packages that only a part of the library needs: which extra of `groot_teach` installs them, and what happens
without them.

The extras themselves are in pyproject.toml, under `[project.optional-dependencies]`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")

EXTRA_OF = {
    "anywidget": "notebooks",
    "ipywidgets": "notebooks",
    "matplotlib": "notebooks",
    "traitlets": "notebooks",  # comes with ipywidgets
    "pyarrow": "recordings",
    "safetensors": "checkpoints",
}


@contextmanager
def needed_for(what: str) -> Iterator[None]:
    """Put around an import: if the package is missing, the error says which extra of `groot_teach` installs it.

    Args:
        what: the subject of the sentence, such as "reading parquet files".

    Raises:
        ImportError: the package is missing. What else an import may raise is left as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        command = f'pip install ".[{EXTRA_OF[package]}]"'
        message = f"{what} needs the package {package}, which is not installed; in a clone of the book: {command}"
        raise ImportError(message, name=package) from error


def progress_bar(items: Iterable[Item], **how: Any) -> Iterable[Item]:
    """The same items, with tqdm's progress bar around them where tqdm is installed.

    Args:
        items: what is worked on, one after the other.
        how: what tqdm takes beside them, such as `desc`, `unit` and `total`.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return items
    return tqdm(items, **how)
