"""`rine serve`: a page and an HTTP API on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from rine.commands.options import Arithmetic, Device, Model, Threshold, need, plain_errors, prepare_libraries


def serve(
    model: Model = "best",
    device: Device = "auto",
    threshold: Threshold = None,
    arithmetic: Arithmetic = "fast",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8000,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    upload_mb: Annotated[
        float, typer.Option(envvar="RINE_SERVE_UPLOAD_MB", min=0.001, max=1000, help="MB that a request may have.")
    ] = 25,
    pixels: Annotated[
        int, typer.Option(envvar="RINE_SERVE_PIXELS", min=1, help="Pixels that a picture may have.")
    ] = 50_000_000,
    picture_seconds: Annotated[
        float,
        typer.Option(envvar="RINE_SERVE_PICTURE_SECONDS", min=0.1, help="Seconds of a processor to decode a picture."),
    ] = 10,
    files: Annotated[
        int, typer.Option(envvar="RINE_SERVE_FILES", min=1, max=1000, help="Pictures that a request may have.")
    ] = 32,
    queue: Annotated[int, typer.Option(envvar="RINE_SERVE_QUEUE", min=1, help="Pictures that may wait at once.")] = 256,
    seconds: Annotated[
        float, typer.Option(envvar="RINE_SERVE_SECONDS", min=0.1, help="Seconds that a request may take.")
    ] = 60,
    connections: Annotated[
        int, typer.Option(envvar="RINE_SERVE_CONNECTIONS", min=1, help="Connections that may be open at once.")
    ] = 128,
    idle_seconds: Annotated[
        float,
        typer.Option(envvar="RINE_SERVE_IDLE_SECONDS", min=0.1, help="Seconds after which an idle one is closed."),
    ] = 15,
) -> None:
    """Open a page to drop pictures on, with an HTTP API behind it (openapi.json), on 127.0.0.1 only.

    What goes beyond a limit is refused with a 4xx. Nothing is kept, and nothing leaves this machine.

    Example: rine serve --port 8080
    """
    prepare_libraries(arithmetic)
    with plain_errors("serve"):
        for module in ("fastapi", "uvicorn", "python_multipart"):
            need(module, "serve")
        from rine.serve.settings import ServeSettings

        settings = ServeSettings(
            upload_mb=upload_mb,
            pixels=pixels,
            picture_seconds=picture_seconds,
            files=files,
            queue=queue,
            seconds=seconds,
            connections=connections,
            idle_seconds=idle_seconds,
        )
        from rine.detector.stored import require_weights

        require_weights(model)
        from rine.detector import Detector
        from rine.serve.run import listen, run

        with listen(port) as socket:  # before the model is loaded: a port that is taken is found at once
            detector = Detector.load(model, device=device, threshold=threshold, max_pixels=settings.pixels)
            run(detector, settings, socket, browser)
