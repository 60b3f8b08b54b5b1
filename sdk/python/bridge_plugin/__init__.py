"""Adapters for bridge in Python: a frozen model in a separate process.

    import bridge_plugin as bp      # first: it redirects the standard output

    class Mine(bp.LanguageModel):
        def load(self, request): …
        def loss(self, request, context): …
        def generate(self, request, context, emit): …

    if __name__ == "__main__":
        bp.serve(Mine)

Import it before numpy, torch or any other package that may print. Before this import,
bridge would take a line on the standard output for the plugin's handshake.
"""

from __future__ import annotations

# Before any other import: the packages that the rest of the file loads may print.
from . import _process

_process.protect()

from ._serve import serve  # noqa: E402
from .contract import (  # noqa: E402
    Context,
    EarlyStopping,
    EmbedTokensResponse,
    EncodeRequest,
    Example,
    FinishReason,
    GenerateOptions,
    GenerateRequest,
    GenerateResponse,
    ImageSpec,
    LanguageModel,
    LanguageSpec,
    LoadRequest,
    LossRequest,
    LossResponse,
    Model,
    ScoreRequest,
    Segment,
    TokenLogProb,
    VisionEncoder,
    VisionSpec,
    score_by_loss,
)
from .errors import Error, Kind  # noqa: E402
from .tensors import DType, to_bfloat16, to_float32  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "Context",
    "DType",
    "EarlyStopping",
    "EmbedTokensResponse",
    "EncodeRequest",
    "Error",
    "Example",
    "FinishReason",
    "GenerateOptions",
    "GenerateRequest",
    "GenerateResponse",
    "ImageSpec",
    "Kind",
    "LanguageModel",
    "LanguageSpec",
    "LoadRequest",
    "LossRequest",
    "LossResponse",
    "Model",
    "ScoreRequest",
    "Segment",
    "TokenLogProb",
    "VisionEncoder",
    "VisionSpec",
    "score_by_loss",
    "serve",
    "to_bfloat16",
    "to_float32",
]
