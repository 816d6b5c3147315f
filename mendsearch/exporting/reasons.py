"""One line in place of what PyTorch's exporters print and raise, which fills a screen."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

LENGTH = 200
"""Characters, at most."""
_SAY_NOTHING = ("Constraints violated", "Failed to ", "Error(s) ", "[torch.onnx]", "#", "<class")


def reason(error: BaseException) -> str:
    """The first sentence that says something, of the cause at the bottom."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [stripped for line in str(error).splitlines() if (stripped := line.strip(" -\t"))]
    telling = [line for line in lines if not line.startswith(_SAY_NOTHING)]
    sentence = (telling or lines or ["no message"])[0].split(". ")[0].rstrip(".")
    text = f"{type(error).__name__}: {sentence}"
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the scope nothing is printed, logged or warned of: errors say why, and outputs are compared afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
