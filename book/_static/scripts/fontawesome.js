// Empty on purpose: it stands in for the theme's 1.5 MB of icons as JavaScript; the same icons come from its web font.
