"""One self-contained page: every view with a slider over its steps, worked by mouse or keyboard."""

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from segup.explain.drawing.compose import compose, plan
from segup.explain.drawing.story import Story
from segup.explain.drawing.svg import fragment, opening


def page(stories: Sequence[Story], left_out: Sequence[str] = (), finished: bool = False) -> str:
    """Return a page that shows the stories, one at a time.

    Every step is a list of places in one table of SVG fragments, since most of a picture stays from step to step.

    Args:
        stories: At least one.
        left_out: Why others are missing, in words.
        finished: Whether each opens on its last step, where its answer is, and not on its first.
    """
    data = [_packed(story) | {"start": len(story.steps) - 1 if finished else 0} for story in stories]
    template = files("segup.explain.drawing").joinpath("page.html").read_text(encoding="utf-8")
    notes = "".join(f"<p>{escape(note)}</p>" for note in left_out)
    title = stories[0].title.partition(" · ")[0]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return template.replace("{{title}}", escape(title)).replace("{{notes}}", notes).replace("{{data}}", text)


def _packed(story: Story) -> dict[str, object]:
    shared = plan(story, story.steps)
    table: dict[str, int] = {}
    steps = []
    head = ""
    for step in story.steps:
        scene = compose(story, step, shared)
        head = opening(scene)
        steps.append([table.setdefault(fragment(piece), len(table)) for piece in scene.pieces])
    return {
        "view": story.view,
        "name": story.title.partition(" · ")[2],
        "head": head,
        "pieces": list(table),
        "steps": steps,
        "captions": [" ".join(step.caption) for step in story.steps],
    }
