"""`make demo`: what regsvc does with a real model, each claim checked."""
