"""From a view's steps as plain data to pictures: one drawing, written as SVG, PNG, GIF or a page."""
