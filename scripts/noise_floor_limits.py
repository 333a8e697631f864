"""What the noise floor does not show, and how a part goes on: the end of its page."""


def limits() -> list[str]:
    """Return the section as Markdown."""
    return [
        "## Limits",
        "",
        "- The data are small: ten embedded frames of one recording, and CamVid's 367 training images, for the most "
        "part at half their size. The encoders are small, and schedules are short. An operator that needs more "
        "training than this looks worse here than it is.",
        "- A part on cells validates on two images at a time, where published tables have hundreds or thousands: "
        "what seeds do there says little of what they do on large test sets.",
        "- A decision holds for these images, this schedule and this encoder. Intervals are over seeds, and with folds "
        "over parts of the same few images; they do not say what other data sets would show.",
        "- Guided operators (`naf`, `jbu`, `anyup`, `uplift`) have their tiny variants and are trained with the task. "
        "Published ones are larger, and were trained before, on many images.",
        "- In the probes every seed draws from the same four crops of each image, and on cells eight images train: the "
        "draw of crops is hardly in their noise and intervals. Where each seed has crops of its own, the noise of the "
        "same nine operators is no larger.",
        "- In a probe, operators with a convolution have more parameters than resizes alone. Some have a 3×3 "
        "convolution at the encoder's stride, which lets the linear head see further; guided operators have none. A "
        "difference to a resize alone is of the operator as segup has it, and of this context. "
        "In the part with a convolution first all operators have one, and still differ in the cells that they read.",
        "- `conv_nearest` and `conv_bilinear` were added when the scores of the other rows of the probes were known; "
        "the probe with a convolution first and its baseline, when the results of the parts before it were; those two "
        "rows in it, when its other rows had five seeds.",
        "- The encoder's cell i is centred on the image's pixel 8·i. Resizes put it at 8·i + 3.5, as in most networks; "
        "`deconv_matched` and the rows with `_corners`, which were added last, follow the encoder, and learned "
        "operators can.",
        "- In 60 steps of the probe on CamVid without a convolution first, guided operators and resizes alone hardly "
        "learn the thin classes (pole, sign, fence, pedestrian, bicyclist). `conv_bilinear`, `conv_nearest`, "
        "`pixel_shuffle` and transposed convolutions begin to. This moves mIoU more than pixel accuracy.",
        "- When the probes were run, a fault let their training steps run the encoder, on the same crops, in place of "
        "taking its kept features. With the fault mended, `bilinear`, `pixel_shuffle` and `deconv_matched` have the "
        "same scores on cells with all ten seeds, to four digits. A run is shorter now than its row says.",
        "- Peak memory of `naf`, `jbu`, `anyup` and `uplift` in the probes without a convolution first is of seed 0 "
        "alone.",
        "- A part that was trained on a GPU does not repeat to the last digit; one on a CPU with one thread does, on "
        "the same machine.",
        "- Another processor rounds otherwise, and end to end this changes a run nearly as another seed does. In the "
        "part with decoders on cells `anyup`, `uplift`, `fade`, `sapa` and `freqfusion` have seed 3 from another "
        "processor than `bilinear` (the column `device`).",
        "- The anchor's runs without augmentation were trained on a CPU, those with it on a GPU: rounding is in their "
        "differences, too.",
        "- In SegNet's table `bilinear` and `segnet_basic` were trained on a GPU, the other rows on a CPU: their "
        "differences have this in them, too, and are no quieter than those of runs with different seeds. Those other "
        "rows also add or join the encoder's maps, as in the paper; `bilinear` and `segnet_basic` have no such skips.",
        "- All operators of a part have one learning rate and one schedule, which were not tuned for any of them.",
        "- The order of operators is not tested: each is held against the baseline alone.",
        "- Intervals use a variance that operators share. A quiet operator may be undecided though its sign is the "
        "same in all pairs, and a loud one decided that would not be by itself; and where the variance is "
        "large, nothing could have been found equal within 0.005.",
        "- Published runs are not known to share a seed. Two runs that do not are further apart than the noise here. "
        "Differences of one table share rows, and are not independent of each other.",
        "- Verdicts are of the score in the heading. Boundary scores stand in the tables of costs, are not tested, and "
        "do not always agree.",
        "- One score of a part is one family of intervals; of several scores each is decided by itself.",
        "",
    ]


def repeat() -> list[str]:
    """Return the section on going on with a part, as Markdown."""
    return [
        "## Again, and one operator more",
        "",
        "A part goes on where it was, and ends after the minutes:",
        "",
        "```bash",
        "python scripts/noise_floor.py --part probe_cells --minutes 80",
        "python scripts/noise_floor.py --part probe_camvid --data ~/data --minutes 80",
        "```",
        "",
        "The runs are in `ablations/`. On a machine that does not have them, name the seeds that the file lacks; their "
        "rows join it:",
        "",
        "```bash",
        "python scripts/noise_floor.py --part decoders_cells --seeds 5",
        "```",
        "",
        "An operator of your own joins a part, with the part's seeds, and then the page (a part on CamVid takes "
        "`--data`, too):",
        "",
        "```bash",
        "python scripts/noise_floor.py --part probe_cells --operators mypackage.mine:Mine --write",
        "```",
        "",
        "To take its rows out, delete its lines from `docs/noise-floor/probe_cells.csv`.",
        "",
    ]
