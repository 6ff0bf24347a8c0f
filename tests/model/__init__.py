"""A model of bad days: the real story, scripts and fake i'mport under one clock, driven by Hypothesis."""
