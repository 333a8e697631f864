"""Begin a run: in this process, or in one for each device."""

from pathlib import Path

from segup.errors import refusals_named
from segup.training.config import RunConfig


@refusals_named()
def start(config: RunConfig, folder: Path) -> None:
    """Train what ``config`` says in ``folder``.

    Raises:
        SegupError: Whatever is wrong with the configuration, the data or the training.
    """
    if config.reconstruct is not None:
        from segup.training.reconstruct import reconstruct

        reconstruct(config, folder)
        return

    from segup.training.distributed import is_launched, launch

    if config.trainer.devices > 1 and not is_launched():
        from segup.data import create_data
        from segup.training.resume import read_position

        data = create_data(config.data, config.seed)  # once here: a download, and any fault of the files
        data.prepare_data()
        if config.ckpt_path is not None:
            data.keep_range(read_position(config.ckpt_path).image_range)
        data.setup("fit")
        launch(config, folder)
        return

    from segup.training.run import train

    train(config, folder)
